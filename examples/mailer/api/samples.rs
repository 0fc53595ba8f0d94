//! The records that two organizations have from the start, for requests to be tried with.

use tollgate::Gate;
use tollgate::core::id::OrgId;
use tollgate_examples::failure::Failure;

use super::account::{Account, Mailer};
use super::contacts::Contact;
use super::domains::Domain;
use super::emails::{EventKind, NewEmail};
use super::lists::List;
use super::projects::Project;
use super::records::{Record, Stored};
use super::segments::{Condition, Operator, Segment};
use super::templates::Template;
use super::webhooks::Webhook;

impl Mailer {
    /// A mailer with records of `acme`, and a domain and a template of `globex`.
    pub(crate) fn with_samples(gate: &Gate) -> Result<Self, Failure> {
        let mailer = Self::new(gate);
        fill_acme(&mailer.account(OrgId::new("acme")?))?;
        fill_globex(&mailer.account(OrgId::new("globex")?));
        Ok(mailer)
    }
}

fn fill_acme(account: &Account) -> Result<(), Failure> {
    put(account, "newsletter", project("Newsletter"));
    put(account, "shop", project("Shop"));
    put(account, "acme", verified("acme.example", account));
    put(account, "shop", new_domain("shop.acme.example", account));
    put(account, "welcome", welcome());
    put(account, "old", welcome());
    put(account, "delivery", webhook("https://acme.example/hook"));
    put(account, "old", webhook("https://acme.example/old-hook"));
    put(account, "customers", list("Customers"));
    put(account, "old", list("Old"));
    for (name, city, lists) in [
        ("ann", "Oslo", vec!["list_customers".to_owned()]),
        ("bob", "Bergen", vec!["list_customers".to_owned()]),
        ("cleo", "Oslo", Vec::new()),
    ] {
        let contact = Contact {
            email: format!("{name}@customer.example"),
            attributes: [("city".to_owned(), city.to_owned())].into(),
            lists,
        };
        put(account, name, contact);
    }
    put(account, "oslo", segment("Oslo"));
    put(account, "bergen", segment("Bergen"));
    let email = welcome_to_ann().written(&account.records(), &account.now())?;
    put(account, "welcome", email);
    Ok(())
}

fn fill_globex(account: &Account) {
    put(account, "globex", new_domain("globex.example", account));
    put(account, "goodbye", welcome());
}

/// Keeps a record under a readable id, which no other has: those that are made later are numbers.
fn put<T: Record>(account: &Account, name: &str, record: T) {
    let stored = Stored {
        id: format!("{}_{name}", T::KIND),
        created_at: account.now(),
        record,
    };
    T::shelf(&mut account.records()).log(stored);
}

fn project(name: &str) -> Project {
    Project {
        name: name.to_owned(),
    }
}

fn new_domain(name: &str, account: &Account) -> Domain {
    Domain::new(name.to_owned(), account.organization())
}

fn verified(name: &str, account: &Account) -> Domain {
    let mut domain = new_domain(name, account);
    domain.verify();
    domain
}

fn welcome() -> Template {
    Template {
        name: "Welcome".to_owned(),
        subject: "Welcome, {{name}}".to_owned(),
        text: "Hello {{name}}, you are on the plan {{ plan }}.".to_owned(),
    }
}

fn welcome_to_ann() -> NewEmail {
    let variables = [("name", "Ann"), ("plan", "pro")];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    NewEmail {
        from: "hello@acme.example".to_owned(),
        to: vec!["ann@customer.example".to_owned()],
        template: Some("template_welcome".to_owned()),
        variables: variables.map(owned).into(),
        ..NewEmail::default()
    }
}

fn webhook(url: &str) -> Webhook {
    Webhook {
        url: url.to_owned(),
        events: vec![EventKind::Delivered],
        enabled: true,
    }
}

fn list(name: &str) -> List {
    List {
        name: name.to_owned(),
    }
}

fn segment(city: &str) -> Segment {
    Segment {
        name: format!("From {city}"),
        conditions: vec![Condition {
            field: "city".to_owned(),
            operator: Operator::Is,
            value: city.to_owned(),
        }],
    }
}
