//! The command asks an app that runs.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate::access::scope;
use tollgate::core::accounts::Accounts;
use tollgate::core::clock::SystemClock;
use tollgate::{Catalog, Gate};
use tollgate_admin::{Admin, SessionCookies};

use crate::place::{CATALOG, Done, Place};
use crate::running::eventually;

/// An app behind a socket, until it is dropped.
struct Served {
    origin: String,
    task: JoinHandle<()>,
}

impl Served {
    async fn of<S>(serve: impl AsyncFnOnce(TcpListener) -> S) -> Self
    where
        S: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let served = serve(listener).await;
        let task = tokio::spawn(async move { served.await.unwrap() });
        Self { origin, task }
    }

    async fn app(place: &Place) -> Self {
        let store = Arc::new(place.store().await);
        let accounts = Accounts::new(store.clone(), Arc::new(SystemClock::default()));
        let cookies = SessionCookies::new(accounts);
        let builder = Gate::builder(Catalog::from_toml(CATALOG).unwrap());
        let builder = builder.shared_store(store).sessions(cookies.clone());
        let gate = builder.build().await.unwrap();
        let admin = Admin::new(&gate).with_sign_in(cookies);
        let routes = gate
            .routes()
            .get("/iocs", async || "iocs", scope("iocs:read"))
            .post(
                "/iocs/{name}",
                async || "made",
                scope("iocs:write").credits(3),
            )
            .nest("/admin", admin.routes());
        let service = routes.into_service().unwrap();
        Self::of(async |listener| axum::serve(listener, service).into_future()).await
    }

    /// Something that is no app of Tollgate.
    async fn router(router: Router) -> Self {
        Self::of(async |listener| axum::serve(listener, router).into_future()).await
    }

    fn admin(&self) -> String {
        format!("{}/admin", self.origin)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The session of a viewer, as it is printed.
fn session(place: &Place) -> String {
    let ann = "ann@acme.example";
    let args = ["user", "create", ann, "--org", "acme", "--role", "viewer"];
    let done = with_input(place, None, &args, "canary battery staple\n");
    assert_eq!(done.code, 0, "{}", done.stderr);
    place.good(["session", "create", ann])
}

/// Runs a command with a session in its environment, and an input.
fn with_input(place: &Place, session: Option<&str>, args: &[&str], input: &str) -> Done {
    let mut command = place.command();
    command.args(args).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // What is asked of an app needs no database, and no proxy on the way.
    command.env("ALL_PROXY", "http://127.0.0.1:1");
    command.env("NO_PROXY", "");
    if let Some(session) = session {
        command.env("TOLLGATE_SESSION", session.trim_end());
        command.env_remove("TOLLGATE_DATABASE");
    }
    let mut child = command.spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Done::of(&child.wait_with_output().unwrap())
}

fn explain<'a>(id: &'a str, url: &'a str) -> Vec<&'a str> {
    let args = ["explain", "--key-id", id, "--path", "/iocs", "--url", url];
    [&args[..], &["--org", "acme"]].concat()
}

fn asked(place: &Place, session: &str, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    let done = with_input(place, Some(session), &args, "");
    assert_eq!((done.code, &*done.stderr), (0, ""));
    serde_json::from_str(&done.stdout).unwrap()
}

#[track_caller]
fn refused(place: &Place, session: &str, args: &[&str]) -> String {
    let done = with_input(place, Some(session), args, "");
    assert_eq!((done.code, &*done.stdout), (1, ""), "{}", done.stderr);
    let secret = session.trim_end().split_once('=').unwrap().1;
    assert!(!done.stderr.contains(secret), "{}", done.stderr);
    let said = done.stderr.strip_prefix("error: ").unwrap();
    said.trim_end_matches('\n').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_running_app_tells_what_is_left() {
    let place = Place::new().await;
    let app = Served::app(&place).await;
    let (id, secret) = place.key(&["--scope", "iocs:read"]);
    let (session, url) = (session(&place), app.admin());
    let args = explain(&id, &url);
    let hour = |told: &Value| {
        let rows = told["left"].as_array().unwrap();
        let row = rows.iter().find(|row| row["limit"] == "hour").unwrap();
        (row["units"].as_u64(), row["remaining"].as_u64())
    };
    for taken in 0..3 {
        for _ in 0..3 {
            let told = asked(&place, &session, &args);
            assert_eq!(told["refused"], Value::Null, "{told}");
            assert_eq!(hour(&told), (Some(100), Some(100 - taken)), "{told}");
        }
        let call = ureq::get(format!("{}/iocs", app.origin)).header("x-api-key", &secret);
        assert_eq!(call.call().unwrap().status(), 200);
    }
    // The rest is what the database tells, in the same shape.
    let mut told = asked(&place, &session, &args);
    let by_database = ["explain", "--key-id", &id, "--path", "/iocs"];
    eventually("the app has recorded its routes", async || {
        place.run(by_database).code == 0
    })
    .await;
    let mut recorded = place.json(by_database);
    assert_eq!(recorded["left"].take(), Value::Null);
    assert_eq!(told["left"].take().as_array().unwrap().len(), 3);
    let rates = |told: &mut Value| {
        let steps = told["steps"].as_array_mut().unwrap();
        let rates = steps.iter_mut().find(|step| step["step"] == "rates");
        rates.unwrap().take()["verdict"].take()
    };
    assert_eq!(rates(&mut told), "passes");
    assert_eq!(rates(&mut recorded), "unknown");
    assert_eq!(told, recorded);
    let done = with_input(&place, Some(&session), &args, "");
    let lines: Vec<&str> = done.stdout.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "GET /iocs");
    let row = |of: &str| lines.iter().find(|line| line.starts_with(of)).unwrap();
    let row = |of: &str| row(of).split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("LIMIT").join(" "), "LIMIT UNITS LEFT ALL FREE IN");
    assert_eq!(row("hour")[..3], ["hour", "100", "97"]);
    assert_eq!(row("day")[..3], ["day", "1000", "997"]);
    assert_eq!(row("rates")[1], "passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_from_the_environment_a_file_or_standard_input() {
    let place = Place::new().await;
    let app = Served::app(&place).await;
    let (id, _) = place.key(&["--scope", "iocs:read"]);
    let (session, url) = (session(&place), app.admin());
    place.keep("session", &session);
    let args = explain(&id, &url);
    let of_file = [&args[..], &["--session-file", "session"]].concat();
    let of_stdin = [&args[..], &["--session-file", "-"]].concat();
    // An option goes before its variable.
    for (args, input) in [(&of_file, ""), (&of_stdin, &*session)] {
        for variable in [None, Some("a=b")] {
            let done = with_input(&place, variable, args, input);
            assert_eq!(done.code, 0, "{}", done.stderr);
        }
    }
    let none = with_input(&place, None, &args, "");
    assert_eq!(none.code, 2);
    assert_eq!(
        none.stderr,
        "error: no session is given; set TOLLGATE_SESSION to what `tollgate session create` \
         prints, or write `--session-file FILE`\n"
    );
    let value = session.trim_end().split_once('=').unwrap().1;
    for bad in [value, "a=", "=b", "a=b; c=d", "a b=c", "a=b\nc"] {
        let done = with_input(&place, None, &of_stdin, bad);
        assert_eq!(done.code, 1, "{bad}");
        let told = "what standard input holds is not like `name=value`; it has to be what \
                    `tollgate session create` prints";
        assert_eq!(done.stderr, format!("error: {told}\n"), "{bad}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(place.path("session"), open).unwrap();
        let said = place.refused(1, &of_file);
        assert!(
            said.starts_with("everybody may read the session file"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_refuses_is_told_in_its_words() {
    let place = Place::new().await;
    place.good(["org", "create", "other", "--plan", "free"]);
    let app = Served::app(&place).await;
    let (id, _) = place.key(&["--scope", "iocs:read"]);
    let (session, url) = (session(&place), app.admin());
    let told = |change: &[(&str, &str)]| {
        let mut args = explain(&id, &url);
        for (flag, value) in change {
            match args.iter().position(|arg| arg == flag) {
                Some(at) => args[at + 1] = value,
                None => args.extend([*flag, *value]),
            }
        }
        refused(&place, &session, &args)
    };
    let nobodys = "01a20070-4c7b-7298-8d51-8fe39914d77e";
    for (flag, value, why) in [
        ("--org", "other", "there is no organization `other`"),
        (
            "--key-id",
            nobodys,
            &*format!("there is no key `{nobodys}`"),
        ),
        (
            "--path",
            "/none",
            "path: no route of the app matches `/none`",
        ),
        (
            "--method",
            "PUT",
            "method: `/iocs` does not answer to `PUT`, but to GET",
        ),
    ] {
        assert_eq!(told(&[(flag, value)]), why);
    }
    let over = format!("{}x", session.trim_end());
    let said = refused(&place, &over, &explain(&id, &url));
    assert_eq!(
        said,
        format!(
            "the app at `{url}` does not know the session: it is over, or of another app, or its \
             cookie has another name there; begin one with `tollgate session create`"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_management_routes_are_is_told() {
    let place = Place::new().await;
    let app = Served::app(&place).await;
    let (id, _) = place.key(&["--scope", "iocs:read"]);
    let session = session(&place);
    let page = Served::router(Router::new().fallback(async || "<html>")).await;
    let keyed = Served::router(Router::new().fallback(async || http::StatusCode::UNAUTHORIZED));
    let keyed = keyed.await;
    for url in [
        app.origin.clone(),
        format!("{}/iocs", app.origin),
        format!("{}/admin/organizations", app.origin),
        page.admin(),
        keyed.admin(),
    ] {
        let said = refused(&place, &session, &explain(&id, &url));
        let told = format!("there are no management routes of Tollgate at `{url}`; ");
        assert!(said.starts_with(&told), "{said}");
    }
    let gone = Served::router(Router::new()).await.admin();
    let said = refused(&place, &session, &explain(&id, &gone));
    let told = format!("cannot ask the app at `{gone}`: ");
    assert!(said.starts_with(&told), "{said}");
    let remedy = "; start the app, or write the URL of one that runs";
    assert!(said.ends_with(remedy), "{said}");
    // Nothing there speaks TLS.
    let url = app.admin().replace("http:", "https:");
    let said = refused(&place, &session, &explain(&id, &url));
    assert!(
        said.starts_with("cannot ask the app at `https://"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_goes_where_it_was_told_to_go_and_nowhere_else() {
    let place = Place::new().await;
    let (id, _) = place.key(&["--scope", "iocs:read"]);
    let session = session(&place);
    let seen = Arc::new(std::sync::Mutex::new(0));
    let count = Arc::clone(&seen);
    let thief = Router::new().fallback(async move || *count.lock().unwrap() += 1);
    let thief = Served::router(thief).await;
    for status in [301, 302, 303, 307, 308] {
        let to = thief.admin();
        let sends = async move || {
            let status = http::StatusCode::from_u16(status).unwrap();
            (status, [("location", to)])
        };
        let app = Served::router(Router::new().fallback(any(sends))).await;
        let url = app.admin();
        let said = refused(&place, &session, &explain(&id, &url));
        let told = format!("`{url}` sends on to `{}`, ", thief.admin());
        assert!(said.starts_with(&told), "{said}");
    }
    assert_eq!(*seen.lock().unwrap(), 0);
    let done = with_input(
        &place,
        Some(&session),
        &explain(&id, "http://acme.example/admin"),
        "",
    );
    assert_eq!(done.code, 2);
    let told = "error: `http://acme.example/admin` would send the session's cookie unencrypted";
    assert!(done.stderr.starts_with(told), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_fails_or_is_too_old_is_told() {
    let place = Place::new().await;
    let (id, _) = place.key(&["--scope", "iocs:read"]);
    let session = session(&place);
    let error = |said: &str| json!({ "error": { "code": "x", "message": said } }).to_string();
    let down = error("come \u{1b}[2J back");
    let down = async move || (http::StatusCode::SERVICE_UNAVAILABLE, down);
    let down = Served::router(Router::new().fallback(any(down))).await;
    let said = refused(&place, &session, &explain(&id, &down.admin()));
    let told = r"failed with 503 Service Unavailable: come \u{1b}[2J back";
    assert!(said.ends_with(told), "{said}");
    let description = json!({ "info": { "title": "Tollgate management" } }).to_string();
    let missing = error("There is nothing at this path.");
    let old = Router::new()
        .route("/admin/openapi.json", any(async move || description))
        .fallback(any(async move || (http::StatusCode::NOT_FOUND, missing)));
    let old = Served::router(old).await;
    let said = refused(&place, &session, &explain(&id, &old.admin()));
    assert!(said.contains("has an older version of Tollgate"), "{said}");
}
