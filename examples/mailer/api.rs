//! The API: its thirteen scopes, its two permission levels, and what each operation demands.

mod account;
mod checks;
mod contacts;
mod domains;
mod emails;
mod lists;
mod phones;
mod projects;
mod records;
mod samples;
mod segments;
mod templates;
mod webhooks;

use tollgate::access::scope;
use tollgate::{Catalog, Gate, Plan, Preset, Routes, Scope};
use tollgate_examples::failure::Failure;

pub(crate) use self::account::Mailer;
use self::contacts::Contact;
use self::domains::Domain;
use self::emails::Email;
use self::lists::List;
use self::projects::Project;
use self::records::{create, delete, list, show, update};
use self::segments::Segment;
use self::templates::Template;
use self::webhooks::Webhook;

/// The only plan: this product's document has no limits and no prices.
pub(crate) const PLAN: &str = "standard";

/// The permission level that opens every endpoint.
pub(crate) const FULL_ACCESS: &str = "full-access";

/// The permission level that sends, and does nothing else.
pub(crate) const SENDING_ONLY: &str = "sending-only";

/// The scopes, in the document's order and words. None implies another: a key that may write
/// templates may not read them, unless it is told so too.
const SCOPES: [(&str, &str); 13] = [
    ("emails:send", "Send emails via API"),
    (
        "emails:read",
        "List and retrieve sent email details and events",
    ),
    ("templates:read", "List and retrieve templates"),
    ("templates:write", "Create, update, and delete templates"),
    ("domains:read", "List and retrieve domains"),
    ("domains:write", "Create, verify, and delete domains"),
    ("webhooks:read", "List and retrieve webhooks"),
    ("webhooks:write", "Create, update, and delete webhooks"),
    ("projects:read", "List projects"),
    ("sms:send", "Send SMS messages"),
    ("whatsapp:send", "Send WhatsApp messages"),
    (
        "audience:read",
        "List and retrieve contacts, lists, and segments",
    ),
    (
        "audience:write",
        "Create, update, and delete contacts, lists, and segments",
    ),
];

/// What keys may do. A key follows a permission level, or has scopes of its own.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let full = Preset::new(FULL_ACCESS)
        .describe("Full Access: complete access to all endpoints")
        .scopes(SCOPES.map(|(name, _)| name));
    let sending = Preset::new(SENDING_ONLY)
        .describe("Sending Only: restricted to email, SMS, and WhatsApp sending")
        .scopes(["emails:send", "sms:send", "whatsapp:send"]);
    let catalog = Catalog::builder()
        .scopes(SCOPES.map(|(name, about)| Scope::new(name).describe(about)))
        .preset(full)
        .preset(sending)
        .plan(Plan::new(PLAN))
        .build()?;
    Ok(catalog)
}

/// Every operation of the document, with the scope that it demands.
#[rustfmt::skip] // a table: one row an operation
pub(crate) fn routes(gate: &Gate) -> Routes<Mailer> {
    gate.routes()
        .post  ("/emails",              emails::send,        scope("emails:send").describe("Send an email"))
        .get   ("/emails",              list::<Email>,       scope("emails:read").describe("List sent emails"))
        .get   ("/emails/{id}",         show::<Email>,       scope("emails:read").describe("Retrieve a sent email"))
        .get   ("/emails/{id}/events",  emails::events,      scope("emails:read").describe("List the events of a sent email"))

        .get   ("/templates",           list::<Template>,    scope("templates:read").describe("List templates"))
        .get   ("/templates/{id}",      show::<Template>,    scope("templates:read").describe("Retrieve a template"))
        .post  ("/templates",           create::<Template>,  scope("templates:write").describe("Create a template"))
        .put   ("/templates/{id}",      update::<Template>,  scope("templates:write").describe("Update a template"))
        .delete("/templates/{id}",      delete::<Template>,  scope("templates:write").describe("Delete a template"))

        .get   ("/domains",             list::<Domain>,      scope("domains:read").describe("List sending domains"))
        .get   ("/domains/{id}",        show::<Domain>,      scope("domains:read").describe("Retrieve a sending domain"))
        .post  ("/domains",             domains::create,     scope("domains:write").describe("Create a sending domain"))
        .post  ("/domains/{id}/verify", domains::verify,     scope("domains:write").describe("Verify a sending domain"))
        .delete("/domains/{id}",        delete::<Domain>,    scope("domains:write").describe("Delete a sending domain"))

        .get   ("/webhooks",            list::<Webhook>,     scope("webhooks:read").describe("List webhooks"))
        .get   ("/webhooks/{id}",       show::<Webhook>,     scope("webhooks:read").describe("Retrieve a webhook"))
        .post  ("/webhooks",            create::<Webhook>,   scope("webhooks:write").describe("Create a webhook"))
        .put   ("/webhooks/{id}",       update::<Webhook>,   scope("webhooks:write").describe("Update a webhook"))
        .delete("/webhooks/{id}",       delete::<Webhook>,   scope("webhooks:write").describe("Delete a webhook"))

        .get   ("/projects",            list::<Project>,     scope("projects:read").describe("List projects"))
        .post  ("/sms",                 phones::sms,         scope("sms:send").describe("Send an SMS message"))
        .post  ("/whatsapp",            phones::whatsapp,    scope("whatsapp:send").describe("Send a WhatsApp message"))

        .get   ("/contacts",            list::<Contact>,     scope("audience:read").describe("List contacts"))
        .get   ("/contacts/{id}",       show::<Contact>,     scope("audience:read").describe("Retrieve a contact"))
        .post  ("/contacts",            create::<Contact>,   scope("audience:write").describe("Create a contact"))
        .put   ("/contacts/{id}",       update::<Contact>,   scope("audience:write").describe("Update a contact"))
        .delete("/contacts/{id}",       delete::<Contact>,   scope("audience:write").describe("Delete a contact"))

        .get   ("/lists",               list::<List>,        scope("audience:read").describe("List lists"))
        .get   ("/lists/{id}",          lists::show,         scope("audience:read").describe("Retrieve a list and its contacts"))
        .post  ("/lists",               create::<List>,      scope("audience:write").describe("Create a list"))
        .put   ("/lists/{id}",          update::<List>,      scope("audience:write").describe("Update a list"))
        .delete("/lists/{id}",          lists::delete,       scope("audience:write").describe("Delete a list, not its contacts"))

        .get   ("/segments",            list::<Segment>,     scope("audience:read").describe("List segments"))
        .get   ("/segments/{id}",       segments::show,      scope("audience:read").describe("Retrieve a segment and its contacts"))
        .post  ("/segments",            create::<Segment>,   scope("audience:write").describe("Create a segment"))
        .put   ("/segments/{id}",       update::<Segment>,   scope("audience:write").describe("Update a segment"))
        .delete("/segments/{id}",       delete::<Segment>,   scope("audience:write").describe("Delete a segment"))
}
