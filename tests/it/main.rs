//! The stack, through its public interface.
