//! The many ways to write a path.

/// One way to write the path of a guarded route.
pub(super) struct PathForm {
    pub(super) name: &'static str,
    pub(super) target: Vec<u8>,
}

/// A path such as `/admin/users`, in the pieces that its forms are made of.
struct Path<'a> {
    base: &'a str,
    dir: &'a str,
    last: &'a str,
    inner: &'a str,
}

/// Every form of a path.
pub(super) fn forms(base: &str) -> Vec<PathForm> {
    let (dir, last) = base.rsplit_once('/').unwrap();
    let path = Path {
        base,
        dir,
        last,
        inner: &base[1..],
    };
    let mut forms = vec![("plain", base.to_owned())];
    for more in [slashes, dots, escapes, suffixes, queries, targets] {
        forms.extend(more(&path));
    }
    let mut forms: Vec<PathForm> = forms
        .into_iter()
        .map(|(name, target)| PathForm {
            name,
            target: target.into_bytes(),
        })
        .collect();
    forms.push(PathForm {
        name: "raw 0xff",
        target: [base.as_bytes(), b"\xff"].concat(),
    });
    forms
}

fn slashes(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path {
        base,
        dir,
        last,
        inner,
    } = *path;
    vec![
        ("slash before", format!("/{base}")),
        ("two slashes before", format!("//{base}")),
        ("slash inside", format!("{dir}//{last}")),
        ("slash after", format!("{base}/")),
        ("two slashes after", format!("{base}//")),
        ("escaped slash", format!("{dir}%2F{last}")),
        ("escaped slash, small", format!("{dir}%2f{last}")),
        ("escaped slash before", format!("/%2f{inner}")),
        ("no slash, escaped", format!("%2f{inner}")),
        ("escaped slash after", format!("{base}%2f")),
        ("backslash", format!("{dir}\\{last}")),
        ("escaped backslash", format!("{dir}%5c{last}")),
        ("backslash before", format!("/\\{inner}")),
    ]
}

fn dots(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path {
        base,
        dir,
        last,
        inner,
    } = *path;
    vec![
        ("dot before", format!("/.{base}")),
        ("dot inside", format!("{dir}/./{last}")),
        ("dot after", format!("{base}/.")),
        ("two dots after", format!("{base}/..")),
        ("up and down", format!("/x/..{base}")),
        ("up from an open route", format!("/health/..{base}")),
        ("up from the root", format!("/..{base}")),
        ("up twice from the root", format!("/../..{base}")),
        ("up and down inside", format!("{dir}/x/../{last}")),
        ("up and down after", format!("{base}/../{last}")),
        ("three dots", format!("/...{base}")),
        ("dots, slash escaped", format!("/..%2f{inner}")),
        ("dots escaped", format!("/%2e%2e{base}")),
        ("dots escaped, capital", format!("/x/%2E%2E{base}")),
        ("one dot escaped", format!("/%2e{base}")),
        ("half escaped dots", format!("/x/.%2e{base}")),
        ("dots, backslash", format!("/..\\{inner}")),
        ("dots, backslash escaped", format!("/x/..%5c{inner}")),
        ("dots and parameter", format!("/x/..;{base}")),
    ]
}

fn escapes(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path {
        base,
        dir,
        last,
        inner,
    } = *path;
    let escape = |text: &str| -> String {
        let escaped = text.bytes().map(|byte| match byte {
            b'/' => "/".to_owned(),
            other => format!("%{other:02x}"),
        });
        escaped.collect()
    };
    let (first, rest) = inner.split_at(inner.len().min(1));
    let one_escaped = format!("/{}{rest}", escape(first));
    vec![
        ("one letter escaped", one_escaped.clone()),
        ("all letters escaped", escape(base)),
        ("doubly escaped letter", one_escaped.replace('%', "%25")),
        ("doubly escaped dots", format!("/x/%252e%252e{base}")),
        ("doubly escaped slash", format!("{dir}%252f{last}")),
        ("trebly escaped slash", format!("{dir}%25252f{last}")),
        ("overlong slash", format!("{dir}%c0%af{last}")),
        ("overlong dots", format!("/x/%c0%ae%c0%ae{base}")),
        ("longer overlong slash", format!("{dir}%e0%80%af{last}")),
        ("full-width slash", format!("{dir}%ef%bc%8f{last}")),
        ("no UTF-8", format!("{base}%ff%fe")),
        ("no UTF-8 before", format!("/%ff{base}")),
        ("IIS escape", format!("{dir}%u002f{last}")),
        ("no hexadecimal", format!("{base}%zz")),
        ("half an escape", format!("{base}%2")),
        ("a inner percent", format!("{base}%")),
        ("NUL after", format!("{base}%00")),
        ("NUL and suffix", format!("{base}%00.html")),
        ("NUL before", format!("/%00{base}")),
        ("blank after", format!("{base}%20")),
        ("tab after", format!("{base}%09")),
        ("line after", format!("{base}%0a")),
        ("header after", format!("{base}%0d%0aX-API-Key:%20x")),
    ]
}

fn suffixes(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path { base, inner, .. } = *path;
    let (first, rest) = inner.split_at(inner.len().min(1));
    vec![
        ("parameter", format!("{base};x=y")),
        ("session parameter", format!("/;jsessionid=1{base}")),
        ("empty parameter", format!("{base};")),
        ("escaped parameter", format!("{base}%3bx=y")),
        ("capitals", base.to_uppercase()),
        ("one capital", format!("/{}{rest}", first.to_uppercase())),
        ("dotless letters", base.replace('i', "%c4%b1")),
        ("suffix", format!("{base}.json")),
        ("dot at the end", format!("{base}.")),
        ("tilde", format!("{base}~")),
        ("port", format!("{base}:80")),
        ("index", format!("{base}/index.html")),
        ("below an open route", format!("/health{base}")),
        ("below a parameter", format!("/health;{base}")),
    ]
}

fn queries(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path { base, .. } = *path;
    vec![
        ("empty query", format!("{base}?")),
        ("query", format!("{base}?x=1")),
        ("path in a query", format!("/health?/..{base}")),
        ("two queries", format!("{base}??x")),
        ("query with a semicolon", format!("{base}?a;b")),
        ("query of dots", format!("{base}?/../health")),
        ("method in a query", format!("{base}?_method=OPTIONS")),
        ("escaped query", format!("{base}%3fx=1")),
        ("fragment", format!("{base}#top")),
        ("fragment of an open route", format!("/health#/..{base}")),
        ("escaped fragment", format!("{base}%23/../health")),
    ]
}

fn targets(path: &Path<'_>) -> Vec<(&'static str, String)> {
    let Path { base, inner, .. } = *path;
    vec![
        ("absolute", format!("http://evil.example{base}")),
        ("absolute, secure", format!("https://evil.example{base}")),
        ("absolute, capital", format!("HTTP://EVIL.EXAMPLE{base}")),
        ("absolute, port", format!("http://evil.example:1{base}")),
        (
            "absolute, user",
            format!("http://user:pw@evil.example{base}"),
        ),
        ("absolute, slash", format!("http://evil.example/{base}")),
        ("absolute, dots", format!("http://evil.example/x/..{base}")),
        ("absolute, loopback", format!("http://127.0.0.1{base}")),
        ("absolute, no path", "http://evil.example".to_owned()),
        ("another scheme", format!("ftp://evil.example{base}")),
        ("a scheme alone", format!("http:{base}")),
        ("asterisk", "*".to_owned()),
        ("authority", "evil.example:443".to_owned()),
        ("root", "/".to_owned()),
        ("empty", String::new()),
        ("only a query", "?x=1".to_owned()),
        ("no slash", inner.to_owned()),
        ("long", format!("{base}/{}", "a".repeat(4000))),
        ("long by slashes", format!("{}{base}", "/".repeat(2000))),
        ("long query", format!("{base}?{}", "a=b&".repeat(1000))),
        (
            "longer than hyper takes",
            format!("{base}?{}", "a".repeat(66_000)),
        ),
        ("raw UTF-8", format!("{base}\u{e9}")),
        ("raw space", format!("{base} x")),
        ("raw control", format!("{base}\u{1}")),
        ("raw NUL", format!("{base}\0")),
    ]
}
