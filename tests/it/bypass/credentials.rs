//! The many credentials that open nothing.

use std::time::Duration;

use tollgate::core::ip::IpRules;
use tollgate::core::secret::Digester;
use tollgate_testkit::clock::START;

use crate::support::{HOUR, TestApp, TestKey, actor, org, unknown_secret};

/// What a gate must make of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    /// Nothing was sent where this gate looks: nobody calls.
    Missing,
    /// Something was sent, and it is no good.
    Bad,
    /// The key is good, but does not reach so far.
    Narrow,
    /// The key is good, in a query parameter that most gates do not read.
    InQuery,
}

/// One credential, as it is written.
pub(crate) struct Credential {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) query: Option<String>,
}

/// The keys that the forms are made of.
struct Keys {
    good: TestKey,
    elsewhere: String,
    unknown: String,
}

/// Every credential that must not open a route of this app which demands `iocs:read` on `pro`.
pub(crate) async fn forms(app: &TestApp, elsewhere: &str) -> Vec<Credential> {
    let keys = Keys {
        good: app.key("umbra", ["iocs:read"]).await,
        elsewhere: elsewhere.to_owned(),
        unknown: unknown_secret(),
    };
    let mut list = List(Vec::new());
    nobody(&mut list, &keys);
    in_the_query(&mut list, &keys);
    malformed(&mut list, &keys);
    several(&mut list, &keys);
    no_longer_good(&mut list, app).await;
    too_narrow(&mut list, app).await;
    list.0
}

struct List(Vec<Credential>);

impl List {
    fn add(&mut self, class: Class, name: &'static str, headers: &[(&'static str, &[u8])]) {
        let headers = headers.iter().map(|(name, value)| (*name, value.to_vec()));
        self.0.push(Credential {
            name,
            class,
            headers: headers.collect(),
            query: None,
        });
    }

    fn bearer(&mut self, class: Class, name: &'static str, token: &str) {
        self.add(class, name, &[("Authorization", &bearer(token))]);
    }

    fn query(&mut self, class: Class, name: &'static str, query: String) {
        self.add(class, name, &[]);
        self.0.last_mut().unwrap().query = Some(query);
    }
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Bearer {token}").into_bytes()
}

/// Good keys and great claims, in places where nobody looks.
fn nobody(list: &mut List, keys: &Keys) {
    let key = keys.good.secret.as_bytes();
    let good = &*bearer(&keys.good.secret);
    let cookie = [b"api_key=", key, b"; Authorization=", key].concat();
    for (name, headers) in [
        ("none", &[][..]),
        ("in a cookie", &[("Cookie", &*cookie)]),
        ("X_API_Key", &[("X_API_Key", key)]),
        ("X-API_Key", &[("X-API_Key", key)]),
        ("X-API-Keys", &[("X-API-Keys", key)]),
        ("X-APIKey", &[("X-APIKey", key)]),
        ("Api-Key", &[("Api-Key", key)]),
        ("X-Auth-Token", &[("X-Auth-Token", key)]),
        ("X-Authorization", &[("X-Authorization", good)]),
        ("Authorisation", &[("Authorisation", good)]),
        ("Proxy-Authorization", &[("Proxy-Authorization", good)]),
        (
            "X-Forwarded-Authorization",
            &[("X-Forwarded-Authorization", good)],
        ),
        ("Sec-WebSocket-Protocol", &[("Sec-WebSocket-Protocol", key)]),
        ("in Referer", &[("Referer", key)]),
        (
            "another method",
            &[
                ("X-HTTP-Method-Override", b"OPTIONS"),
                ("X-HTTP-Method", b"OPTIONS"),
                ("X-Method-Override", b"HEAD"),
            ],
        ),
        (
            "another URL",
            &[
                ("X-Original-URL", b"/health"),
                ("X-Rewrite-URL", b"/health"),
                ("X-Forwarded-Uri", b"/health"),
            ],
        ),
        (
            "another prefix",
            &[
                ("X-Forwarded-Prefix", b"/health"),
                ("X-Script-Name", b"/health"),
                ("X-Envoy-Original-Path", b"/health"),
            ],
        ),
        (
            "a loopback client",
            &[
                ("X-Forwarded-For", b"127.0.0.1"),
                ("Forwarded", b"for=127.0.0.1;host=localhost"),
                ("X-Real-IP", b"127.0.0.1"),
                ("True-Client-IP", b"127.0.0.1"),
            ],
        ),
        (
            "another host",
            &[("X-Forwarded-Host", b"localhost"), ("X-Host", b"localhost")],
        ),
        (
            "what a proxy would vouch for",
            &[
                ("X-User", b"admin"),
                ("X-Remote-User", b"admin"),
                ("X-SSL-Client-Verify", b"SUCCESS"),
                ("X-Principal", b"umbra"),
            ],
        ),
        ("half a preflight", &[("Origin", b"https://a.example")]),
        (
            "a preflight",
            &[
                ("Origin", b"https://a.example"),
                ("Access-Control-Request-Method", b"GET"),
                ("Access-Control-Request-Headers", b"authorization"),
            ],
        ),
        (
            "key named hop by hop",
            &[("Connection", b"x-api-key, authorization")],
        ),
    ] {
        list.add(Class::Missing, name, headers);
    }
}

fn in_the_query(list: &mut List, keys: &Keys) {
    let key = &keys.good.secret;
    list.query(Class::InQuery, "api_key=", format!("api_key={key}"));
    list.query(Class::InQuery, "api%5Fkey=", format!("api%5Fkey={key}"));
    for (name, query) in [
        ("access_token=", format!("access_token={key}")),
        ("API_KEY=", format!("API_KEY={key}")),
        ("api_key[]=", format!("api_key[]={key}")),
        ("a;api_key=", format!("a;api_key={key}")),
        ("api_key= twice", format!("api_key={key}&api_key={key}")),
        ("api_key= of nobody", format!("api_key={}", keys.unknown)),
        ("api_key= empty", "api_key=".to_owned()),
        ("api_key=%ff", "api_key=%ff".to_owned()),
        ("api_key=key%00", format!("api_key={key}%00")),
    ] {
        list.query(Class::Missing, name, query);
    }
}

fn malformed(list: &mut List, keys: &Keys) {
    let key = &*keys.good.secret;
    let raw = key.as_bytes();
    let good = &*bearer(key);
    let wrong_sum = {
        let (rest, digit) = key.split_at(key.len() - 1);
        format!("{rest}{}", if digit == "0" { "1" } else { "0" })
    };
    let digest: String = {
        let digest = Digester::sha256().digest(key);
        let hex = digest.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        hex.collect()
    };
    for (name, token) in [
        ("nobody's", &*keys.unknown),
        ("of another gate", &*keys.elsewhere),
        ("wrong checksum", &*wrong_sum),
        ("cut off", &key[..20]),
        ("something after", &format!("{key}x")),
        ("something before", &format!("x{key}")),
        ("capitals", &key.to_uppercase()),
        ("another vendor", &key.replacen("sk", "op", 1)),
        ("another environment", &key.replacen("live", "test", 1)),
        ("its digest", &*digest),
        ("its id", &keys.good.id.to_string()),
        ("escaped", &format!("%{:02x}{}", raw[0], &key[1..])),
        ("in quotes", &format!("\"{key}\"")),
        ("null", "null"),
        ("undefined", "undefined"),
        ("an asterisk", "*"),
        ("a bit of SQL", "' OR '1'='1"),
        ("a JSON web token", "eyJhbGciOiJub25lIn0.e30."),
        ("far too long", &"sk_live_".repeat(500)),
        ("twice in one", &format!("{key} {key}")),
        ("with a comma", &format!("{key},")),
        ("a list", &format!("{key},{key}")),
        ("a list of headers", &format!("{key}, Bearer {key}")),
        ("scheme twice", &format!("Bearer {key}")),
    ] {
        list.bearer(Class::Bad, name, token);
    }
    for (name, value) in [
        ("empty", &b""[..]),
        ("scheme alone", b"Bearer"),
        ("no scheme", raw),
        ("two blanks", &[b"Bearer  ", raw].concat()),
        ("a tab", &[b"Bearer\t", raw].concat()),
        ("a blank and a tab", &[b"Bearer \t", raw].concat()),
        ("no-break space", &[b"Bearer\xa0", raw].concat()),
        ("obs-text after", &[good, b"\xff"].concat()),
        (
            "obs-text inside",
            &[&good[..20], b"\x80", &good[20..]].concat(),
        ),
        ("obs-text alone", b"\xff\xfe"),
        ("full-width", "Bearer ｓｋ_live_".as_bytes()),
        ("Basic", b"Basic dXNlcjpwYXNz"),
        ("Basic of the key", &[b"Basic ", raw].concat()),
        ("Token", &[b"Token ", raw].concat()),
        ("ApiKey", &[b"ApiKey ", raw].concat()),
        ("BearerX", &[b"BearerX ", raw].concat()),
        ("Bearer:", &[b"Bearer: ", raw].concat()),
        ("Digest", b"Digest username=\"\", response=\"\""),
    ] {
        list.add(Class::Bad, name, &[("Authorization", value)]);
    }
    for (name, value) in [
        ("X-API-Key, empty", &b""[..]),
        ("X-API-Key, with a scheme", good),
        ("X-API-Key, a list", &[raw, b",", raw].concat()),
        ("X-API-Key, obs-text", &[raw, b"\xff"].concat()),
        ("X-API-Key, a tab inside", &[raw, b"\t", raw].concat()),
        ("X-API-Key, of nobody", keys.unknown.as_bytes()),
    ] {
        list.add(Class::Bad, name, &[("X-API-Key", value)]);
    }
}

/// Two are too many, even if both are good.
fn several(list: &mut List, keys: &Keys) {
    let key = keys.good.secret.as_bytes();
    let unknown = keys.unknown.as_bytes();
    let good = &*bearer(&keys.good.secret);
    let bad = &*bearer(&keys.unknown);
    for (name, headers) in [
        ("both places", [("Authorization", good), ("X-API-Key", key)]),
        (
            "both, one bad",
            [("Authorization", good), ("X-API-Key", unknown)],
        ),
        (
            "both, other bad",
            [("Authorization", bad), ("X-API-Key", key)],
        ),
        (
            "both, one empty",
            [("Authorization", b""), ("X-API-Key", key)],
        ),
        (
            "both, other empty",
            [("X-API-Key", b""), ("Authorization", good)],
        ),
        (
            "both, one Basic",
            [("Authorization", b"Basic eA=="), ("X-API-Key", key)],
        ),
        (
            "Authorization twice",
            [("Authorization", good), ("authorization", good)],
        ),
        (
            "twice, bad first",
            [("Authorization", bad), ("Authorization", good)],
        ),
        (
            "twice, bad last",
            [("Authorization", good), ("Authorization", bad)],
        ),
        ("X-API-Key twice", [("X-API-Key", key), ("x-api-key", key)]),
        (
            "X-API-Key twice, bad last",
            [("X-API-Key", key), ("X-API-KEY", unknown)],
        ),
    ] {
        list.add(Class::Bad, name, &headers);
    }
}

/// Keys that were good once, or will be.
async fn no_longer_good(list: &mut List, app: &TestApp) {
    let (keyring, actor) = (app.gate.keyring(), actor());
    let key = async || app.key("umbra", ["iocs:read"]).await;
    let revoked = key().await;
    keyring.revoke(&revoked.id, &actor).await.unwrap();
    let disabled = key().await;
    keyring.disable(&disabled.id, &actor).await.unwrap();
    let deleted = key().await;
    keyring.delete(&deleted.id, &actor).await.unwrap();
    let rotated = key().await;
    let rotation = keyring.rotate(&rotated.id, Duration::ZERO, &actor);
    rotation.await.unwrap();
    let second = START.after(Duration::from_secs(1));
    let expiring = app.key_with("umbra", |key| key.scopes(["iocs:read"]).expires_at(second));
    let expired = expiring.await;
    let early = app.key_with("umbra", |key| {
        key.scopes(["iocs:read"]).not_before(START.after(HOUR))
    });
    let early = early.await;
    app.clock.advance(Duration::from_secs(1));
    for name in ["banned", "broke"] {
        app.organization(name, "pro").await;
    }
    let banned = app.key("banned", ["iocs:read"]).await;
    let broke = app.key("broke", ["iocs:read"]).await;
    keyring.suspend(&org("banned"), &actor).await.unwrap();
    let broken = org("broke");
    let restricted = keyring.restrict_billing(&broken, &actor);
    restricted.await.unwrap();
    for (name, key) in [
        ("revoked", &revoked),
        ("disabled", &disabled),
        ("deleted", &deleted),
        ("rotated away", &rotated),
        ("expired", &expired),
        ("not valid yet", &early),
        ("of a suspended organization", &banned),
        ("of a restricted organization", &broke),
    ] {
        list.bearer(Class::Bad, name, &key.secret);
    }
}

async fn too_narrow(list: &mut List, app: &TestApp) {
    let office = || IpRules::allowing("203.0.113.0/24".parse().unwrap());
    let fenced = app.key_with("umbra", |key| key.scopes(["iocs:read"]).ip_rules(office()));
    let fenced = bearer(&fenced.await.secret);
    let [spoofed, beside] = [&b"203.0.113.1, 198.51.100.9"[..], b"for=203.0.113.1"];
    list.add(Class::Bad, "from elsewhere", &[("Authorization", &fenced)]);
    for (name, header, value) in [
        ("from elsewhere, spoofed", "X-Forwarded-For", spoofed),
        ("from elsewhere, Forwarded", "Forwarded", beside),
        ("from elsewhere, X-Real-IP", "X-Real-IP", b"203.0.113.1"),
    ] {
        list.add(
            Class::Bad,
            name,
            &[("Authorization", &fenced), (header, value)],
        );
    }
    let other = app.key("umbra", ["ai:chat"]).await;
    list.bearer(Class::Narrow, "another scope", &other.secret);
    let bare = app.key("umbra", []).await;
    list.bearer(Class::Narrow, "no scope", &bare.secret);
    let free = app.key("acme", ["iocs:write"]).await;
    list.bearer(Class::Narrow, "a lower plan", &free.secret);
}
