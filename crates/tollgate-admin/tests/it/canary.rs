//! Nothing secret is anywhere but in the answers that hand it over.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tollgate::core::accounts::{Password, Role};
use tollgate::core::change::Actor;
use tollgate_sqlx::SqliteStore;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::App;

/// What anybody in this process logged since the test began.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was secret, and every place where something may have been written.
struct Search {
    secrets: Vec<(&'static str, Vec<u8>)>,
    places: Vec<(String, Vec<u8>)>,
}

impl Search {
    fn secret(&mut self, what: &'static str, text: &str) {
        self.secrets.push((what, text.as_bytes().to_vec()));
    }

    fn place(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.places.push((name.into(), bytes.into()));
    }

    fn files(&mut self, directory: &Path) {
        for file in directory.read_dir().unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            self.place(path.display().to_string(), bytes);
        }
    }

    fn find(&self) {
        assert!(self.secrets.len() > 5 && self.places.len() > 20);
        for (what, secret) in &self.secrets {
            for (place, bytes) in &self.places {
                let found = bytes.windows(secret.len()).any(|part| part == secret);
                assert!(!found, "{what} is in {place}");
            }
        }
    }
}

fn token_of(set_cookie: &str) -> &str {
    let (_, value) = set_cookie.split_once('=').unwrap();
    value.split(';').next().unwrap()
}

fn secret_of(answer: &Value) -> String {
    answer["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_files_the_log_the_trail_or_another_answer() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(|| Log);
    subscriber.init();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let database = path.join("db").display().to_string();
    let store = Arc::new(SqliteStore::open(&database).await.unwrap());
    let app = App::on(store, Some(directory), |admin| admin).await;
    let mut search = Search {
        secrets: Vec::new(),
        places: Vec::new(),
    };
    let (first, second) = ("canary of an operator", "canary of a later time");
    let operator = app.user("operator", None, Role::Owner).await;
    let password = Password::new(first.to_owned()).unwrap();
    let actor = Actor::system();
    let set = app.accounts.set_password(&operator.id, &password, &actor);
    set.await.unwrap();
    search.secret("the first password", first);
    search.secret("the second password", second);
    let sign_in = async |password: &str| {
        let who = json!({ "email": "operator@acme.example", "password": password });
        app.post("/admin/session").json(who).send().await
    };
    assert_eq!(sign_in("a wrong canary password").await.status, 401);
    search.secret("a wrong password", "a wrong canary password");
    let signed_in = sign_in(first).await;
    search.place("signing in", signed_in.text.clone());
    let token = token_of(signed_in.header("set-cookie")).to_owned();
    search.secret("the token", &token);
    let cookie = format!("__Host-tollgate_session={token}");

    let keys = "/admin/organizations/acme/keys";
    let new = json!({ "name": "canary", "scopes": ["iocs:read"] });
    let create = || app.post(keys).cookie(&cookie).json(new.clone());
    let once = create().header("idempotency-key", "\"once\"").ok().await;
    let replayed = create().header("idempotency-key", "\"once\"").send().await;
    search.place("creating it again", replayed.text);
    let made = secret_of(&once);
    let id = once["data"]["id"].as_str().unwrap().to_owned();
    let rotate = app.post(&format!("{keys}/{id}/rotate")).cookie(&cookie);
    let rotated = secret_of(&rotate.json(json!({ "grace": "1h" })).ok().await);
    for (what, secret) in [("the secret", &made), ("the next secret", &rotated)] {
        // Its beginning is shown.
        search.secret(what, &secret[14..]);
        assert_eq!(app.get("/iocs").secret(secret).status().await, 200);
    }
    let member = json!({
        "email": "ben@acme.example", "role": "viewer", "password": "canary of a member",
    });
    search.secret("a member's password", "canary of a member");
    let members = "/admin/organizations/acme/members";
    let added = app.post(members).cookie(&cookie).json(member).send().await;
    assert_eq!(added.status, 201);
    search.place("adding a member", added.text);
    // Each of the rest, whatever it answers.
    for operation in &app.operations {
        let path = operation.path.replace("{organization}", "acme");
        let path = format!("/admin{}", path.replace("{key}", &id));
        if operation.method == "GET" {
            let answer = app.get(&path).cookie(&cookie).send().await;
            search.place(format!("GET {path}"), answer.text);
        }
    }
    let edit = json!({ "name": "renamed", "scopes": [] });
    for (method, path, body) in [
        ("PATCH", "", edit),
        ("POST", "/disable", json!({})),
        ("POST", "/enable", json!({})),
        ("POST", "/revoke", json!({ "reason": "leaked" })),
    ] {
        let call = app.call(method, &format!("{keys}/{id}{path}"));
        let answer = call.cookie(&cookie).json(body).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        search.place(format!("{method} {path}"), answer.text);
    }
    let change = json!({ "current": first, "new": second });
    let changed = app.call("PUT", "/admin/session/password").cookie(&cookie);
    let changed = changed.json(change).send().await;
    assert!(changed.status < 300, "{changed:?}");
    search.place("another password", changed.text);
    app.gate.shutdown().await;
    search.place(
        "the gate's Debug",
        format!("{:?} {:?}", app.gate, app.accounts),
    );
    search.files(&path);
    let logged = std::mem::take(&mut *LOGGED.lock());
    assert!(logged.len() > 10_000, "the log is heard");
    search.place("the log", logged);
    search.find();
}
