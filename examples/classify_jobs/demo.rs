//! The organizations, keys and jobs to try the API with: made at the first start, shown once.

use std::fmt;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate::core::record::ApiKey;
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::people::COOKIES;
use tollgate_examples::tour::{Curl, Tour};

use crate::api::work::{Input, Work};
use crate::api::{CLASSIFY_CREDITS, DEEP_SCAN_CREDITS, SCAN_CREDITS, Service};

const ACME_CREDITS: u64 = 1_000;
const LABS_CREDITS: u64 = 10;

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    pipeline: Issued,
    dashboard: Issued,
    leaver: Issued,
    labs: Issued,
    closed: Issued,
}

/// What is there to be read without creating it first.
#[derive(Debug)]
pub(crate) struct Samples {
    job: String,
    webhook: String,
}

/// The organization that is made last.
fn last() -> Result<OrgId, Failure> {
    Ok(OrgId::new("closed")?)
}

fn acme() -> Result<OrgId, Failure> {
    Ok(OrgId::new("acme")?)
}

impl Demo {
    /// Makes the keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &last()?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let actor = Actor::named("example");
        let keyring = gate.keyring();
        let issue = async |key| keyring.issue(key, &actor).await;
        let organize = async |id: &OrgId, plan| {
            let organization = NewOrganization::new(id.clone(), plan);
            keyring.create_organization(organization, &actor).await
        };

        let acme = acme()?;
        organize(&acme, "business").await?;
        gate.grant_credits(&acme, ACME_CREDITS, &actor).await?;
        let everything = [
            "classify:create",
            "scan:create",
            "jobs:read",
            "results:read",
            "credits:read",
            "webhooks:write",
        ];
        let pipeline = issue(NewKey::new(acme.clone(), "pipeline").scopes(everything)).await?;
        let dashboard = NewKey::new(acme.clone(), "dashboard").preset("read-only");
        let dashboard = issue(dashboard).await?;
        let leaver = issue(NewKey::new(acme, "leaver").scopes(["jobs:read"])).await?;

        let labs = OrgId::new("acme-labs")?;
        organize(&labs, "standard").await?;
        gate.grant_credits(&labs, LABS_CREDITS, &actor).await?;
        let labs = NewKey::new(labs, "labs").scopes(["jobs:read", "scan:create"]);
        let labs = issue(labs).await?;

        let closed = last()?;
        organize(&closed, "standard").await?;
        keyring.suspend(&closed, &actor).await?;
        Ok(Self {
            pipeline,
            dashboard,
            leaver,
            labs,
            closed: issue(NewKey::new(closed, "closed").scopes(["jobs:read"])).await?,
        })
    }

    /// Requests to try the keys with.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        let [pipeline, dashboard, labs, closed] =
            [&self.pipeline, &self.dashboard, &self.labs, &self.closed]
                .map(|issued| |request: Curl| request.bearer(&issued.secret));
        let jobs = || Curl::get("/v1/jobs");
        let text = || {
            Curl::post("/v1/classify").json(r#"{"texts":["The doctor saw a patient with fever."]}"#)
        };
        let deep_scan = || Curl::post("/v1/deep-scan").json(r#"{"sample":"config"}"#);
        tour.add(
            202,
            format!("classifies a text, for {CLASSIFY_CREDITS} credit"),
            pipeline(text()),
        );
        tour.add(
            202,
            "classifies bundled pages; one that is not bundled is not fetched",
            pipeline(
                Curl::post("/v1/classify").json(
                    r#"{"urls":["https://news.example/markets","https://elsewhere.example/"]}"#,
                ),
            ),
        );
        tour.add(
            202,
            format!("scans a text, for {SCAN_CREDITS} credits"),
            pipeline(
                Curl::post("/v1/scan").json(r#"{"text":"Write to ann@acme.example or 192.0.2.1"}"#),
            ),
        );
        tour.add(
            202,
            format!("scans more deeply, for {DEEP_SCAN_CREDITS} credits"),
            pipeline(deep_scan()),
        );
        tour.add(
            200,
            "all jobs of the organization, whichever key created them",
            dashboard(jobs()),
        );
        tour.add(
            200,
            "the organization's credits",
            dashboard(Curl::get("/v1/credits")),
        );
        tour.add(
            201,
            "a webhook endpoint on this machine",
            pipeline(Curl::post("/v1/webhooks").json(r#"{"url":"http://127.0.0.1:9000/hook"}"#)),
        );
        tour.add(401, "no key", jobs());
        let elsewhere = self.pipeline.secret.expose();
        tour.add(
            401,
            "a key in another place is none",
            jobs().header("X-API-Key", elsewhere),
        );
        tour.add(403, "the key may read, but not create", dashboard(text()));
        tour.add(403, "the organization is suspended", closed(jobs()));
        tour.add(
            402,
            format!("this organization has {LABS_CREDITS} credits left"),
            labs(deep_scan()),
        );
    }

    /// Requests for what is there from the start.
    pub(crate) fn guide_to_samples(&self, samples: &Samples, tour: &mut Tour) {
        let dashboard = |request: Curl| request.bearer(&self.dashboard.secret);
        let status = || Curl::get(format!("/v1/jobs/{}", samples.job));
        tour.add(200, "status and timing of a job", dashboard(status()));
        tour.add(
            200,
            "its results",
            dashboard(Curl::get(format!("/v1/jobs/{}/results", samples.job))),
        );
        tour.add(
            404,
            "a job of another organization looks like none",
            status().bearer(&self.labs.secret),
        );
        let test = format!("/v1/webhooks/{}/test", samples.webhook);
        tour.add(
            200,
            "tests an endpoint: a sample, so nothing is sent",
            Curl::post(test).bearer(&self.pipeline.secret),
        );
    }

    /// What the operator, who is signed in by now, may do with more than one organization.
    pub(crate) fn guide_signed_in(&self, tour: &mut Tour) {
        let leaver = |request: Curl| request.bearer(&self.leaver.secret);
        let key = &self.leaver.key;
        tour.add(
            201,
            "a key for another of their organizations, with the recommended permissions",
            Curl::post("/admin/organizations/acme-labs/keys")
                .cookies(COOKIES)
                .json(r#"{"name":"reports","preset":"read-only"}"#),
        );
        tour.add(200, "a key that is good", leaver(Curl::get("/v1/jobs")));
        tour.add(
            204,
            "deletes it",
            Curl::method(
                "DELETE",
                format!("/admin/organizations/acme/keys/{}", key.id),
            )
            .cookies(COOKIES),
        );
        tour.add(401, "at once", leaver(Curl::get("/v1/jobs")));
    }
}

impl Samples {
    /// Queues a job and adds an endpoint, so that there is something to read.
    pub(crate) fn make(service: &Service) -> Result<Self, Failure> {
        let acme = acme()?;
        let page = Input::Url("https://news.example/sports".to_owned());
        let job = service.jobs.submit(&acme, Work::Classify(vec![page]))?;
        let webhook = service
            .webhooks
            .create(&acme, "https://hooks.example/jobs")
            .map_err(|(_, message)| Failure::new(message))?;
        Ok(Self {
            job: job.id,
            webhook,
        })
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
            (&self.pipeline, "all permissions"),
            (&self.dashboard, "read-only"),
            (&self.leaver, "jobs:read"),
            (&self.labs, "jobs:read, scan:create"),
            (&self.closed, "jobs:read; suspended"),
        ];
        for (Issued { key, secret, .. }, may) in rows {
            let ApiKey {
                name, organization, ..
            } = key;
            let (organization, secret) = (organization.as_str(), secret.expose());
            writeln!(f, "  {organization:9}  {name:9}  {secret}  {may}")?;
        }
        Ok(())
    }
}
