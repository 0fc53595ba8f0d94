//! What the examples share: their flags, who signs in, what they print to be tried with, and how
//! they fail and stop.

pub mod demo;
pub mod failure;
pub mod flags;
pub mod interrupt;
pub mod people;
pub mod serve;
pub mod tour;

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The code in the page on testing works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/TESTING.md")]
mod testing {}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_the_ten_lines() {
        let readme = include_str!("../../README.md");
        let shown: String = include_str!("../ten_lines.rs")
            .lines()
            .filter(|line| !line.trim_start().starts_with("# "))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(readme.contains(&format!("```rust,no_run\n{shown}```\n")));
    }
}
