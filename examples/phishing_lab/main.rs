//! The API of a phishing lab: e-mail analysis, lookups, enrichment and an assistant, each route
//! with the permission and the credits that its documentation names.
//!
//! ```sh
//! cargo run --example phishing_lab
//! ```
//!
//! The first start makes three organizations, one on each plan, and prints each key once, with a
//! request for every route. See `--help` for the flags.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tollgate::Gate;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_examples::failure::{self, Failure};
use tollgate_examples::flags::{self, Flags};
use tollgate_examples::people::{self, Operator};
use tollgate_examples::serve;
use tollgate_examples::tour::Tour;

use crate::api::Samples;
use crate::demo::Demo;

mod api;
mod demo;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read(
        "The API of a phishing lab, guarded by Tollgate",
        "tollgate-phishing-lab.db",
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
    // What the documentation says of errors, headers and credentials is the default.
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
        .with_state(Arc::new(Samples::bundled()?))
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
            operator.guide(&mut tour, "soc", Some("phishing:read"));
            demo.guide_signed_in(&mut tour);
            serve::print_demo(&demo, &tour)?;
        }
        None => serve::print_secrets_were_shown(flags)?,
    }
    serve::until_interrupted(listener, app).await
}
