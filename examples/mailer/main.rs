//! A mailer, whose keys have permission levels and IP restrictions: Full Access, Sending Only, or
//! scopes of their own.
//!
//! ```sh
//! cargo run --example mailer
//! ```
//!
//! The first start makes two organizations with keys, and prints each secret once, together with
//! requests to try them with. Keys are in the database; templates, contacts and all else are in
//! memory, and begin anew with each start. Nothing is ever sent: what would leave the machine is
//! recorded. See `--help` for the flags.

use std::process::ExitCode;

use tokio::net::TcpListener;
use tollgate::Gate;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_examples::failure::{self, Failure};
use tollgate_examples::flags::{self, Flags};
use tollgate_examples::people::{self, Operator};
use tollgate_examples::serve;
use tollgate_examples::tour::Tour;

use crate::api::Mailer;
use crate::demo::Demo;

mod api;
mod demo;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read(
        "A mailer whose keys have permission levels and IP restrictions, guarded by Tollgate",
        "tollgate-mailer.db",
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
        // Behind a proxy: .trusted_proxies(TrustedProxies::x_forwarded_for("10.0.0.0/8".parse()?))
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
        .with_state(Mailer::with_samples(gate)?)
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
            operator.guide(&mut tour, demo::ORGANIZATION, Some("templates:read"));
            demo.guide_signed_in(&mut tour);
            serve::print_demo(&demo, &tour)?;
        }
        None => serve::print_secrets_were_shown(flags)?,
    }
    serve::until_interrupted(listener, app).await
}
