//! A secret cannot leave by accident.

use tollgate::core::secret::Secret;

fn log(secret: &Secret) -> String {
    secret.to_string()
}

fn main() {}
