//! The organizations and keys to try the API with: made at the first start, shown once.

use std::fmt;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::people::COOKIES;
use tollgate_examples::tour::{Curl, Tour};

const HOBBY_CREDITS: u64 = 50;
const CREDITS: u64 = 1000;

const EMAIL: &str = "\
Authentication-Results: mx.soc.example; spf=fail smtp.mailfrom=evil.example; dmarc=fail
Return-Path: <bounce@evil.example>
From: \"Acme Bank\" <service@acmebank-login.example>
Reply-To: collect@evil.example
Subject: Your account was limited
Content-Type: text/html; charset=utf-8

<p>Please verify your account within 24 hours:
<a href=\"https://evil.example/login\">https://acmebank.example/login</a></p>
";

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    enrichment: Issued,
    lookups: Issued,
    everything_on_free: Issued,
    phishing: Issued,
    exposure: Issued,
    assistant: Issued,
    everything: Issued,
    legacy: Issued,
}

/// The organization that is made last.
fn last() -> Result<OrgId, Failure> {
    Ok(OrgId::new("soc")?)
}

impl Demo {
    /// Makes the keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &last()?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let actor = Actor::named("example");
        let keyring = gate.keyring();
        let organization = async |id: &OrgId, plan, credits| {
            let new = NewOrganization::new(id.clone(), plan);
            keyring.create_organization(new, &actor).await?;
            gate.grant_credits(id, credits, &actor).await?;
            Ok::<(), Failure>(())
        };
        let preset = async |id: &OrgId, preset: &str| {
            let new = NewKey::new(id.clone(), preset).preset(preset);
            keyring.issue(new, &actor).await
        };

        let (hobby, agency, soc) = (OrgId::new("hobby")?, OrgId::new("agency")?, last()?);
        organization(&hobby, "free", HOBBY_CREDITS).await?;
        let enrichment = preset(&hobby, "enrichment").await?;
        let lookups = preset(&hobby, "lookups").await?;
        let everything_on_free = preset(&hobby, "everything").await?;

        organization(&agency, "starter", CREDITS).await?;
        let phishing = preset(&agency, "phishing").await?;
        let exposure = preset(&agency, "exposure").await?;
        let assistant = preset(&agency, "assistant").await?;

        organization(&soc, "pro", CREDITS).await?;
        let legacy = NewKey::new(soc.clone(), "of old").scopes(["lab:read", "lab:write"]);
        Ok(Self {
            enrichment,
            lookups,
            everything_on_free,
            phishing,
            exposure,
            assistant,
            everything: preset(&soc, "everything").await?,
            // Nobody is given a legacy scope any more; keys that have one keep it.
            legacy: keyring.issue(legacy.force(), &actor).await?,
        })
    }

    /// A good request for each route, and a few that are refused.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        tour.add(200, "everybody may ask for this", Curl::get("/health"));
        tour.add(
            200,
            "whatever is sent along",
            Curl::get("/health").header("Authorization", "Bearer no-key-at-all"),
        );
        self.guide_enrichment(tour);
        self.guide_lookups(tour);
        self.guide_emails(tour);
        self.guide_assistant(tour);
        self.guide_refusals(tour);
    }

    fn guide_enrichment(&self, tour: &mut Tour) {
        let enrichment = |request: Curl| request.bearer(&self.enrichment.secret);
        tour.add(
            200,
            "2 credits",
            enrichment(Curl::post("/phishing/enrich").json(r#"{"indicator":"198.51.100.23"}"#)),
        );
        tour.add(
            200,
            "3 credits for each indicator",
            enrichment(
                Curl::post("/enrichment/lookup")
                    .json(r#"{"indicators":["evil.example","44d88612fea8a8f36de82e1278abb02f"]}"#),
            ),
        );
    }

    fn guide_lookups(&self, tour: &mut Tour) {
        let (domain, ip) = (r#"{"domain":"evil.example"}"#, r#"{"ip":"198.51.100.23"}"#);
        let url = r#"{"url":"https://evil.example/login"}"#;
        for (credits, path, body) in [
            ("1 credit", "/phishing/dns", domain),
            ("1 credit", "/phishing/blacklist", ip),
            ("1 credit", "/phishing/geoip", ip),
            ("2 credits", "/phishing/safe-browsing", url),
            ("2 credits", "/phishing/checkphish", url),
            ("3 credits", "/phishing/urlscan", url),
            (
                "1 credit",
                "/phishing/url-expand",
                r#"{"url":"https://short.example/a1"}"#,
            ),
            (
                "phishing:read grants enrichment:read",
                "/phishing/enrich",
                r#"{"indicator":"evil.example"}"#,
            ),
        ] {
            let request = Curl::post(path).bearer(&self.lookups.secret);
            tour.add(200, credits, request.json(body));
        }
        tour.add(
            200,
            "10 credits",
            Curl::post("/exposure/scan")
                .bearer(&self.exposure.secret)
                .json(r#"{"target":"acme.example"}"#),
        );
    }

    fn guide_emails(&self, tour: &mut Tour) {
        for (credits, path) in [
            ("1 credit", "/phishing/analyze"),
            ("10 credits", "/phishing/analyze/ai"),
        ] {
            let request = Curl::post(path).bearer(&self.phishing.secret);
            tour.add(200, credits, request.body("message/rfc822", EMAIL));
        }
    }

    fn guide_assistant(&self, tour: &mut Tour) {
        tour.add(
            200,
            "costs what the conversation took, at least 1 credit",
            Curl::post("/ai/chat")
                .bearer(&self.assistant.secret)
                .json(r#"{"message":"We got a phishing e-mail from evil.example. What now?"}"#),
        );
        for (about, path, body) in [
            (
                "10 credits",
                "/ai/triage",
                r#"{"title":"mimikatz on WS-17","description":"A dump of lsass was written"}"#,
            ),
            (
                "15 credits",
                "/ai/analysis",
                r#"{"events":[{"at":"2026-03-01T09:30:00Z","what":"powershell started by a macro"},{"at":"2026-03-01T09:12:00Z","what":"a phishing link was clicked"}]}"#,
            ),
            (
                "20 credits",
                "/ai/threat-profile",
                r#"{"techniques":["T1566.002","T1078"]}"#,
            ),
            (
                "15 credits",
                "/ai/detect",
                r#"{"name":"acme bank","indicators":["evil.example","https://evil.example/login","198.51.100.23"]}"#,
            ),
        ] {
            let request = Curl::post(path).bearer(&self.everything.secret);
            tour.add(200, about, request.json(body));
        }
    }

    fn guide_refusals(&self, tour: &mut Tour) {
        let scan = || Curl::post("/exposure/scan").json(r#"{"target":"acme.example"}"#);
        let alert = || Curl::post("/ai/triage").json(r#"{"title":"a port scan"}"#);
        tour.add(
            200,
            "a legacy scope goes on granting what it did",
            scan().bearer(&self.legacy.secret),
        );
        tour.add(
            403,
            "and nothing else: insufficient_permissions",
            alert().bearer(&self.legacy.secret),
        );
        tour.add(401, "no key", scan());
        tour.add(
            402,
            format!("20 indicators cost 60 credits; this organization got {HOBBY_CREDITS}"),
            Curl::post("/enrichment/lookup")
                .bearer(&self.enrichment.secret)
                .json(&format!(
                    r#"{{"indicators":[{}]}}"#,
                    [r#""198.51.100.23""#; 20].join(",")
                )),
        );
        tour.add(
            403,
            "the key may look up, but not scan: insufficient_permissions",
            scan().bearer(&self.lookups.secret),
        );
        tour.add(
            403,
            "api:full opens every endpoint that the plan does: plan_required",
            alert().bearer(&self.everything_on_free.secret),
        );
    }

    /// What the operator, who is signed in by now, changes of a key.
    pub(crate) fn guide_signed_in(&self, tour: &mut Tour) {
        let Issued { key, secret, .. } = &self.lookups;
        let path = format!("/admin/organizations/hobby/keys/{}", key.id);
        tour.add(
            200,
            "gives a key that is in use another permission",
            Curl::method("PATCH", path)
                .cookies(COOKIES)
                .json(r#"{"scopes":["phishing:read","exposure:read"]}"#),
        );
        tour.add(
            200,
            "the same key may scan now",
            Curl::post("/exposure/scan")
                .bearer(secret)
                .json(r#"{"target":"203.0.113.10"}"#),
        );
    }
}

/// The secrets, shown this once.
impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Eight keys were made. Their secrets are shown this once:\n"
        )?;
        let rows = [
            (&self.enrichment, "free"),
            (&self.lookups, "free"),
            (&self.everything_on_free, "free"),
            (&self.phishing, "starter"),
            (&self.exposure, "starter"),
            (&self.assistant, "starter"),
            (&self.everything, "pro"),
            (&self.legacy, "pro"),
        ];
        for (Issued { key, secret, .. }, plan) in rows {
            let (organization, name) = (key.organization.as_str(), &key.name);
            let secret = secret.expose();
            writeln!(f, "  {organization:6}  {plan:7}  {name:10}  {secret}")?;
        }
        Ok(())
    }
}
