//! A small API behind a gate: keys, scopes, plans, rates, credits and IP rules, kept in SQLite or
//! PostgreSQL.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! The first start makes two organizations with keys, and prints each secret once, together with
//! requests to try them with. See `--help` for the flags.

use std::process::ExitCode;

use tokio::net::TcpListener;
use tollgate::Gate;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_examples::failure::{self, Failure};
use tollgate_examples::flags::{self, Flags};
use tollgate_examples::people::{self, Operator};
use tollgate_examples::serve;
use tollgate_examples::tour::Tour;

use crate::api::Iocs;
use crate::demo::Demo;

mod api;
mod demo;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read(
        "A small API of indicators of compromise, guarded by Tollgate",
        "tollgate-quickstart.db",
    );
    failure::exit(run(&flags).await)
}

async fn run(flags: &Flags) -> Result<(), Failure> {
    flags::log_to_stderr()?;
    if flags.permissions() {
        let permissions = |gate: &Gate| api::routes(gate).permissions();
        return serve::print_permissions(api::catalog()?, permissions).await;
    }
    // A port that is in use is told before a database is made.
    let listener = flags.listen().await?;
    let store = flags.open().await?;
    let people = people::cookies(&store);
    let builder = Gate::builder(api::catalog()?)
        .store(store.clone())
        .sessions(people.clone());
    let gate = flags.count_rates(builder).await?.build().await?;
    let served = start(flags, listener, &gate, people).await;
    gate.shutdown().await;
    store.close().await;
    served
}

async fn start(
    flags: &Flags,
    listener: TcpListener,
    gate: &Gate,
    people: SessionCookies,
) -> Result<(), Failure> {
    let admin = Admin::new(gate).with_sign_in(people.clone()).routes();
    let app = api::routes(gate)
        .with_state(Iocs::samples())
        .nest("/admin", admin)
        .into_service()?;
    match Demo::make(gate)
        .await
        .map_err(|error| error.with_remedy(flags.how_to_start_over()))?
    {
        Some(demo) => {
            let operator = Operator::make(people.accounts()).await?;
            let mut tour = Tour::new(listener.local_addr()?);
            demo.guide(&mut tour);
            operator.guide(&mut tour, "acme", Some("iocs:read"));
            serve::print_demo(&demo, &tour)?;
        }
        None => serve::print_secrets_were_shown(flags)?,
    }
    serve::until_interrupted(listener, app).await
}
