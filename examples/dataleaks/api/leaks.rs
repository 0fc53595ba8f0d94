//! What leaked of accounts and cards: bundled samples, and only what is in the caller's scope.

use axum::Json;
use serde::{Deserialize, Serialize};
use tollgate::{Denial, DenialKind, Principal};

use super::extract::{Body, Params};
use super::inputs::{Bin, Domain, Email};

/// Where the leaks are from, in every answer.
const SOURCE: &str = "sample data that comes with this example; nothing was looked up";

/// What a request asks about. Each is well-formed; whether they are in scope is not known yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    domain: Option<Domain>,
    email: Option<Email>,
    bin: Option<Bin>,
}

/// Inputs of which each is in the caller's scope: the only way to the leaks.
struct InScope(Inputs);

/// The answer: leaks of anything that was asked about.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    source: &'static str,
    leaks: Vec<&'static Leak>,
}

#[derive(Debug, Serialize)]
struct Leak {
    #[serde(flatten)]
    subject: Subject,
    breach: &'static str,
    leaked_on: &'static str,
    exposed: &'static [&'static str],
}

/// Whose leak it is, in lower case.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Subject {
    Account {
        email: &'static str,
    },
    Card {
        bin: &'static str,
        last_four: &'static str,
    },
}

impl Inputs {
    /// Demands that every input that was sent is in scope, whichever the route requires.
    fn in_scope_of(self, caller: &Principal) -> Result<InScope, Denial> {
        if let Some(domain) = &self.domain {
            domain.demand_in_scope(caller)?;
        }
        if let Some(email) = &self.email {
            email.demand_in_scope(caller)?;
        }
        if let Some(bin) = &self.bin {
            bin.demand_in_scope(caller)?;
        }
        Ok(InScope(self))
    }
}

impl InScope {
    fn names(&self, leak: &Leak) -> bool {
        let Self(Inputs { domain, email, bin }) = self;
        match leak.subject {
            Subject::Account { email: address } => {
                let host = address.split_once('@').map_or("", |(_, host)| host);
                domain.as_ref().is_some_and(|domain| domain.covers(host))
                    || email.as_ref().is_some_and(|email| email.is(address))
            }
            Subject::Card { bin: of_card, .. } => {
                bin.as_ref().is_some_and(|bin| bin.covers(of_card))
            }
        }
    }

    fn report(&self) -> Json<Report> {
        Json(Report {
            source: SOURCE,
            leaks: LEAKS.iter().filter(|leak| self.names(leak)).collect(),
        })
    }
}

pub(crate) async fn of_domain(
    caller: Principal,
    Params(inputs): Params<Inputs>,
) -> Result<Json<Report>, Denial> {
    demand(inputs.domain.is_some(), "`domain`")?;
    Ok(inputs.in_scope_of(&caller)?.report())
}

pub(crate) async fn of_email(
    caller: Principal,
    Params(inputs): Params<Inputs>,
) -> Result<Json<Report>, Denial> {
    demand(inputs.email.is_some(), "`email`")?;
    Ok(inputs.in_scope_of(&caller)?.report())
}

pub(crate) async fn of_bin(
    caller: Principal,
    Params(inputs): Params<Inputs>,
) -> Result<Json<Report>, Denial> {
    demand(inputs.bin.is_some(), "`bin`")?;
    Ok(inputs.in_scope_of(&caller)?.report())
}

pub(crate) async fn search(
    caller: Principal,
    Body(inputs): Body<Inputs>,
) -> Result<Json<Report>, Denial> {
    let Inputs { domain, email, bin } = &inputs;
    let some = domain.is_some() || email.is_some() || bin.is_some();
    demand(some, "`domain`, `email` or `bin`")?;
    Ok(inputs.in_scope_of(&caller)?.report())
}

fn demand(is_there: bool, parameter: &str) -> Result<(), Denial> {
    if is_there {
        return Ok(());
    }
    let message = format!("The parameter {parameter} is required.");
    Err(Denial::new(DenialKind::MissingParameter).with_message(message))
}

const LEAKS: [Leak; 8] = [
    account("ann@acme.example", "Forum dump", "2025-03-14"),
    account("ben@acme.example", "Stealer log", "2025-11-02"),
    account("ann@mail.acme.example", "Shop database", "2024-08-30"),
    account("eve@notacme.example", "Forum dump", "2025-03-14"),
    account("gus@globex.example", "Stealer log", "2025-12-19"),
    card("42424242", "0005", "Shop database", "2024-08-30"),
    card("42424299", "1117", "Card shop", "2026-01-08"),
    card("51005100", "8210", "Card shop", "2026-01-08"),
];

const fn account(email: &'static str, breach: &'static str, leaked_on: &'static str) -> Leak {
    Leak {
        subject: Subject::Account { email },
        breach,
        leaked_on,
        exposed: &["email", "password hash"],
    }
}

const fn card(
    bin: &'static str,
    last_four: &'static str,
    breach: &'static str,
    leaked_on: &'static str,
) -> Leak {
    Leak {
        subject: Subject::Card { bin, last_four },
        breach,
        leaked_on,
        exposed: &["card number", "expiry"],
    }
}
