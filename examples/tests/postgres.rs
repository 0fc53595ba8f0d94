//! The five APIs' tests once more, over PostgreSQL in place of memory.

use std::process::Command;

use crate::stores::{POSTGRES, STORE};

const APIS: [&str; 5] = [
    "classify_jobs::",
    "dataleaks::",
    "mailer::",
    "phishing_lab::",
    "threat_intel::",
];

#[test]
fn the_apis_pass_their_tests_over_postgres_too() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.env(STORE, POSTGRES).args(APIS);
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}
