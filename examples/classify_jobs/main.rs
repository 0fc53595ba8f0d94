//! An API of classify, scan and deep-scan jobs: one organization's keys share its jobs, its
//! credits and its rate.
//!
//! ```sh
//! cargo run --example classify_jobs
//! ```
//!
//! The first start makes organizations with keys, and prints each secret once, together with
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

use crate::api::Service;
use crate::api::delivery::Delivery;
use crate::demo::{Demo, Samples};

mod api;
mod demo;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read_with_switch(
        "Classify, scan and deep-scan jobs, guarded by Tollgate",
        "tollgate-classify-jobs.db",
        (
            "allow-loopback-webhooks",
            "Delivers webhooks to this machine too; other private addresses stay refused",
        ),
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
    let builder = api::configure(Gate::builder(api::catalog()?))
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
    let (service, mut worker) = Service::new(gate, Delivery::new(flags.switched_on()));
    let admin = Admin::new(gate).with_sign_in(people.clone()).routes();
    let app = api::routes(gate)
        .with_state(service.clone())
        .nest("/admin", admin)
        .into_service()?;
    match Demo::make(gate)
        .await
        .map_err(|error| error.with_remedy(flags.how_to_start_over()))?
    {
        Some(demo) => {
            let samples = Samples::make(&service)?;
            worker.work_off().await;
            let operator = Operator::make(people.accounts()).await?;
            let mut tour = Tour::new(listener.local_addr()?);
            demo.guide(&mut tour);
            demo.guide_to_samples(&samples, &mut tour);
            operator.guide(&mut tour, "acme", Some("jobs:read"));
            demo.guide_signed_in(&mut tour);
            serve::print_demo(&demo, &tour)?;
        }
        None => serve::print_secrets_were_shown(flags)?,
    }
    let working = tokio::spawn(worker.run());
    let served = serve::until_interrupted(listener, app).await;
    working.abort();
    served
}
