//! What must not compile.

#[test]
fn mistakes_that_the_compiler_finds() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
