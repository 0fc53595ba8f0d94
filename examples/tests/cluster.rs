//! The cluster, as whoever meets it first.

mod postgres_and_redis;
