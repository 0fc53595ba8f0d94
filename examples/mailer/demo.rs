//! The organizations and keys to try the API with: made at the first start, shown once.

use std::fmt;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::people::COOKIES;
use tollgate_examples::tour::{Curl, Tour};

use crate::api::{FULL_ACCESS, PLAN, SENDING_ONLY};

/// The organization that most of the keys belong to. It is made last.
pub(crate) const ORGANIZATION: &str = "acme";

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    ci: Issued,
    sender: Issued,
    templates: Issued,
    office: Issued,
    foreign: Issued,
}

impl Demo {
    /// Makes the keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &OrgId::new(ORGANIZATION)?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let acme = OrgId::new(ORGANIZATION)?;
        let actor = Actor::named("example");
        let keyring = gate.keyring();
        let issue = async |key| keyring.issue(key, &actor).await;

        let globex = OrgId::new("globex")?;
        let organization = NewOrganization::new(globex.clone(), PLAN);
        keyring.create_organization(organization, &actor).await?;
        let foreign = issue(NewKey::new(globex, "backend").preset(FULL_ACCESS)).await?;

        let organization = NewOrganization::new(acme.clone(), PLAN);
        keyring.create_organization(organization, &actor).await?;
        let new = |name: &str| NewKey::new(acme.clone(), name);
        let templates = new("template service").scopes(["templates:read", "templates:write"]);
        let office = IpRules::allowing("203.0.113.50, 198.51.100.0/24".parse()?);
        let office = new("admin dashboard").preset(FULL_ACCESS).ip_rules(office);
        Ok(Self {
            ci: issue(new("CI/CD pipeline").preset(FULL_ACCESS)).await?,
            sender: issue(new("production email sending").preset(SENDING_ONLY)).await?,
            templates: issue(templates).await?,
            office: issue(office).await?,
            foreign,
        })
    }

    /// A good request for each operation, and some that are turned away.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        self.guide_sending(tour);
        for (status, about, request) in [
            (200, "the emails that were sent", Curl::get("/emails")),
            (200, "one of them", Curl::get("/emails/email_welcome")),
            (
                200,
                "what happened to it",
                Curl::get("/emails/email_welcome/events"),
            ),
            (200, "the projects", Curl::get("/projects")),
        ] {
            tour.add(status, about, request.bearer(&self.ci.secret));
        }
        let template = r#"{"name":"Sale","subject":"Sale","text":"Hello {{name}}"}"#;
        self.guide_records(
            tour,
            "templates",
            ["template_welcome", "template_old"],
            template,
        );
        self.guide_domains(tour);
        let webhook = r#"{"url":"https://acme.example/events","events":["queued","sent"]}"#;
        self.guide_records(
            tour,
            "webhooks",
            ["webhook_delivery", "webhook_old"],
            webhook,
        );
        let contact = r#"{"email":"dan@customer.example","lists":["list_customers"]}"#;
        self.guide_records(tour, "contacts", ["contact_ann", "contact_cleo"], contact);
        let list = r#"{"name":"Prospects"}"#;
        self.guide_records(tour, "lists", ["list_customers", "list_old"], list);
        let segment = r#"{"name":"Customers","conditions":[{"field":"list","operator":"is","value":"list_customers"}]}"#;
        self.guide_records(
            tour,
            "segments",
            ["segment_oslo", "segment_bergen"],
            segment,
        );
        self.guide_refusals(tour);
    }

    fn guide_sending(&self, tour: &mut Tour) {
        let sender = |request: Curl| request.bearer(&self.sender.secret);
        let email = r#"{"from":"hello@acme.example","to":["ann@customer.example"],"template":"template_welcome","variables":{"name":"Ann","plan":"pro"}}"#;
        tour.add(
            201,
            "sends an email; emails:send is enough to use a template",
            sender(Curl::post("/emails").json(email)),
        );
        let message = r#"{"to":"+15550100","text":"Your parcel is here"}"#;
        tour.add(
            202,
            "sends an SMS message",
            sender(Curl::post("/sms").json(message)),
        );
        tour.add(
            202,
            "sends a WhatsApp message",
            sender(Curl::post("/whatsapp").json(message)),
        );
    }

    /// Lists, shows, creates, updates and deletes records of a kind.
    fn guide_records(&self, tour: &mut Tour, path: &str, [kept, old]: [&str; 2], body: &str) {
        let all = format!("/{path}");
        let one = |id: &str| format!("/{path}/{id}");
        for (status, about, request) in [
            (200, format!("the {path}"), Curl::get(&all)),
            (200, format!("one of the {path}"), Curl::get(one(kept))),
            (201, "creates one".to_owned(), Curl::post(&all).json(body)),
            (
                200,
                "updates one".to_owned(),
                Curl::method("PUT", one(old)).json(&body.replace("dan", "eve")),
            ),
            (
                204,
                "deletes one".to_owned(),
                Curl::method("DELETE", one(old)),
            ),
        ] {
            tour.add(status, about, request.bearer(&self.ci.secret));
        }
    }

    fn guide_domains(&self, tour: &mut Tour) {
        let create = Curl::post("/domains").json(r#"{"name":"news.acme.example"}"#);
        let verify = Curl::post("/domains/domain_shop/verify");
        let delete = Curl::method("DELETE", "/domains/domain_shop");
        for (status, about, request) in [
            (200, "the sending domains", Curl::get("/domains")),
            (200, "one of them", Curl::get("/domains/domain_acme")),
            (201, "creates one; 409 when it is sent again", create),
            (200, "looks for its records in sample DNS", verify),
            (204, "deletes it", delete),
        ] {
            tour.add(status, about, request.bearer(&self.ci.secret));
        }
    }

    fn guide_refusals(&self, tour: &mut Tour) {
        let templates = || Curl::get("/templates");
        tour.add(401, "no key", templates());
        tour.add(
            403,
            "Sending Only does not read templates",
            templates().bearer(&self.sender.secret),
        );
        tour.add(
            403,
            "scopes of its own: templates only",
            Curl::get("/emails").bearer(&self.templates.secret),
        );
        tour.add(
            403,
            "a good key, but not from here",
            templates().bearer(&self.office.secret),
        );
        tour.add(
            404,
            "another organization's template looks like none",
            Curl::get("/templates/template_welcome").bearer(&self.foreign.secret),
        );
    }

    /// What the operator, once signed in, may change of a key, and what the next request sees.
    pub(crate) fn guide_signed_in(&self, tour: &mut Tour) {
        let office = format!(
            "/admin/organizations/{ORGANIZATION}/keys/{}",
            self.office.key.id
        );
        let edit = |body: &str| Curl::method("PATCH", &office).cookies(COOKIES).json(body);
        let templates = || Curl::get("/templates").bearer(&self.office.secret);
        let shown = Curl::get(&office).cookies(COOKIES);
        tour.add(200, "a key, and from where it may be used", shown);
        tour.add(
            200,
            "lets it be used from this machine",
            edit(r#"{"ip_rules":{"allow":["127.0.0.1, ::1"]}}"#),
        );
        tour.add(200, "so it may be used from here", templates());
        tour.add(
            200,
            "clears the list, so that it may be used from anywhere",
            edit(r#"{"ip_rules":{"allow":[]}}"#),
        );
        tour.add(200, "as from here", templates());
        tour.add(
            200,
            "makes it a key for sending only",
            edit(&format!(r#"{{"preset":"{SENDING_ONLY}"}}"#)),
        );
        tour.add(403, "at once", templates());
    }
}

/// The secrets, shown this once.
impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Five keys were made. Their secrets are shown this once:\n"
        )?;
        let rows = [
            (&self.ci, "Full Access"),
            (&self.sender, "Sending Only"),
            (&self.templates, "Custom: templates:read, templates:write"),
            (
                &self.office,
                "Full Access, from 203.0.113.50 and 198.51.100.0/24 only",
            ),
            (&self.foreign, "Full Access"),
        ];
        for (Issued { key, secret, .. }, may) in rows {
            let (organization, name) = (key.organization.as_str(), &key.name);
            let secret = secret.expose();
            writeln!(f, "  {organization:6}  {name:24}  {secret}  {may}")?;
        }
        Ok(())
    }
}
