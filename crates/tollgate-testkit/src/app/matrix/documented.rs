//! A table of permissions as an app's documentation has it, and how an app differs from it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holder, Matrix, MatrixRow, Verdict};

/// How many words the head of a column has at most.
const MOST_WORDS: usize = 4;

/// What may stand behind a plan.
const OR_ABOVE: &str = " or above";

/// How a route that demands a plan denies a lower one, and how one that demands a feature does.
const LOW: &str = "plan_required";
const LACKING: &str = "entitlement_required";

/// What an app's documentation says of its routes: method, path, permission and credits, perhaps
/// a plan.
#[derive(Clone, Debug, Default)]
#[must_use = "compare a matrix with it"]
pub struct Documented {
    rows: Vec<Row>,
    implied: BTreeMap<String, BTreeSet<String>>,
    everything: BTreeSet<String>,
    presets: BTreeMap<String, BTreeSet<String>>,
    plans: Vec<String>,
}

#[derive(Clone, Debug)]
struct Row {
    method: String,
    path: String,
    who: Who,
    credits: Option<Credits>,
    plan: Option<String>,
}

/// Whom a route is open to.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Who {
    Everybody,
    AnyKey,
    /// Keys with one of these, each a list of which all are needed.
    Scopes(Vec<BTreeSet<String>>),
    /// People who are signed in, and no key.
    Session,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Credits {
    Fixed(u64),
    PerItem(u64),
    Dynamic,
}

/// Which column says what.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    method: Option<usize>,
    path: Option<usize>,
    permission: Option<usize>,
    credits: Option<usize>,
    plan: Option<usize>,
}

impl Documented {
    /// Reads the first table of a text, in Markdown or as CSV. Columns are known by what they are
    /// called: `Method`, `Path` or `Endpoint` (`POST /iocs` is both), `Permission` or `Scope`,
    /// `Credits`, `Plan`; others are passed over.
    ///
    /// A permission is `None` or `public`, `any key`, `session`, a scope, or several with `or` or
    /// `and` between them. Credits are a number, `3/indicator`, or `dynamic`.
    ///
    /// # Panics
    ///
    /// If there is no such table, or one of its lines cannot be read.
    pub fn table(text: &str) -> Self {
        let mut lines = text.lines().map(cells).filter(|cells| cells.len() > 1);
        let found = lines.by_ref().find_map(|head| Columns::of(&head));
        let Some(columns) = found else {
            panic!("no table with a column for the path and one for the permission is documented")
        };
        let is_rule = |cells: &[String]| {
            let mut characters = cells.iter().flat_map(|cell| cell.chars());
            characters.all(|character| matches!(character, '-' | ':' | ' '))
        };
        let rows = lines
            .filter(|cells| !is_rule(cells))
            .map(|cells| columns.row(&cells))
            .collect();
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Whoever has one scope has these too.
    pub fn implies<'a>(mut self, scope: &str, also: impl IntoIterator<Item = &'a str>) -> Self {
        let implied = self.implied.entry(scope.to_owned()).or_default();
        implied.extend(also.into_iter().map(str::to_owned));
        self
    }

    /// Whoever has this scope has every one.
    pub fn implies_everything(mut self, scope: &str) -> Self {
        self.everything.insert(scope.to_owned());
        self
    }

    /// Whoever follows this preset has these scopes. Presets of which nothing is said are not
    /// compared.
    pub fn preset<'a>(mut self, name: &str, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let scopes = scopes.into_iter().map(str::to_owned).collect();
        self.presets.insert(name.to_owned(), scopes);
        self
    }

    /// The plans, the lowest first, for a table with a column for them. It makes no difference
    /// whether a plan is demanded or a feature that lower ones lack.
    pub fn plans<'a>(mut self, plans: impl IntoIterator<Item = &'a str>) -> Self {
        self.plans = plans.into_iter().map(str::to_owned).collect();
        self
    }

    /// Each cell that differs, in words.
    pub(super) fn differences(&self, matrix: &Matrix) -> Vec<String> {
        let mut differences = Vec::new();
        let demanded = self.rows.iter().filter_map(|row| row.plan.as_ref());
        let unknown: BTreeSet<_> = demanded.filter(|plan| self.place(plan).is_none()).collect();
        assert!(
            unknown.is_empty(),
            "the documented table names plans that `.plans([…])` does not: {unknown:?}"
        );
        for documented in &self.rows {
            let same =
                |row: &&MatrixRow| row.method == documented.method && row.path == documented.path;
            let Row { method, path, .. } = documented;
            match matrix.rows.iter().find(same) {
                Some(row) => self.compare(documented, row, &mut differences),
                None => differences.push(format!("{method} {path}: documented, but not there")),
            }
        }
        for MatrixRow { method, path, .. } in &matrix.rows {
            let same = |row: &&Row| row.method == *method && row.path == *path;
            if !self.rows.iter().any(|row| same(&row)) {
                differences.push(format!("{method} {path}: there, but not documented"));
            }
        }
        differences
    }

    fn compare(&self, documented: &Row, row: &MatrixRow, differences: &mut Vec<String>) {
        let place = format!("{} {}", row.method, row.path);
        for (holder, really) in &row.cells {
            let Some(wanted) = self.wanted(documented, holder) else {
                continue;
            };
            let same = match wanted {
                None => *really == Verdict::Reached,
                Some(LOW) => [LOW, LACKING].map(Verdict::Denied).contains(really),
                Some(code) => *really == Verdict::Denied(code),
            };
            if !same {
                let wanted = wanted.unwrap_or("yes");
                differences.push(format!(
                    "{place}, {holder}: documented is {wanted}, and it is {really}"
                ));
            }
        }
        let Some(credits) = &documented.credits else {
            return;
        };
        let charged = row.charged;
        let (priced, paid) = match credits {
            Credits::Fixed(credits) => (
                row.price == credits.to_string(),
                charged.is_none_or(|charged| charged == *credits),
            ),
            Credits::PerItem(credits) => (
                row.price == format!("{credits}/item"),
                charged.is_none_or(|charged| charged.checked_rem(*credits) == Some(0)),
            ),
            Credits::Dynamic => (row.price.contains('–'), true),
        };
        let same = priced && paid;
        if same && charged.is_none() && row.price != "0" {
            differences.push(format!(
                "{place}: no call of it succeeds, so what it costs was not seen; complete its \
                 call with `.sample(…)`"
            ));
        }
        if !same {
            let charged = row.charged.map_or_else(String::new, |charged| {
                format!(", and {charged} were charged")
            });
            differences.push(format!(
                "{place}: documented are {credits:?} credits, and the price is {}{charged}",
                row.price
            ));
        }
    }

    /// The code that a caller is to be denied with, if any; none at all where the table does not
    /// tell.
    fn wanted(&self, row: &Row, holder: &Holder) -> Option<Option<&'static str>> {
        const LACKS: &str = "insufficient_permissions";
        let scopes = match &row.who {
            Who::Everybody => return Some(None),
            Who::Session => return Some(Some("session_required")),
            _ if *holder == Holder::Nobody => return Some(Some("missing_api_key")),
            Who::AnyKey => &Vec::new(),
            Who::Scopes(scopes) => scopes,
        };
        let has = |given: &BTreeSet<String>| {
            let all = given.iter().any(|scope| self.everything.contains(scope));
            all || scopes.is_empty() || scopes.iter().any(|wanted| wanted.is_subset(given))
        };
        match holder {
            Holder::Nobody => None,
            Holder::NoScopes => Some((!scopes.is_empty()).then_some(LACKS)),
            Holder::Scope(scope) => {
                let given = self.closure([scope]);
                Some((!has(&given)).then_some(LACKS))
            }
            Holder::Preset(preset) => {
                let given = self.closure(self.presets.get(preset)?);
                Some((!has(&given)).then_some(LACKS))
            }
            Holder::Plan(plan) => {
                // One that is not named stands below all that are.
                let demanded = row.plan.as_ref();
                let low = demanded.is_some_and(|wanted| self.place(plan) < self.place(wanted));
                Some(low.then_some(LOW))
            }
        }
    }

    /// How high a plan is; a document may write its name with other capitals.
    fn place(&self, plan: &str) -> Option<usize> {
        let mut plans = self.plans.iter();
        plans.position(|known| known.eq_ignore_ascii_case(plan))
    }

    /// Scopes, and what follows from them.
    fn closure<'a>(&self, scopes: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let mut closure = BTreeSet::new();
        let mut open: Vec<String> = scopes.into_iter().cloned().collect();
        while let Some(scope) = open.pop() {
            if closure.insert(scope.clone()) {
                open.extend(self.implied.get(&scope).into_iter().flatten().cloned());
            }
        }
        closure
    }
}

impl Columns {
    /// The columns of a head, if it is one.
    fn of(head: &[String]) -> Option<Self> {
        let mut columns = Self::default();
        for (at, name) in head.iter().enumerate() {
            // A sentence is no head, whatever it speaks of.
            if name.split_whitespace().count() > MOST_WORDS {
                continue;
            }
            let name = name.to_lowercase();
            let is = |part: &str| name.contains(part);
            let column = if is("endpoint") || is("path") || is("route") {
                &mut columns.path
            } else if is("method") {
                &mut columns.method
            } else if is("permission") || is("scope") {
                &mut columns.permission
            } else if is("credit") || is("price") {
                &mut columns.credits
            } else if is("plan") || is("tier") {
                &mut columns.plan
            } else {
                continue;
            };
            column.get_or_insert(at);
        }
        (columns.path.is_some() && columns.permission.is_some()).then_some(columns)
    }

    fn row(self, cells: &[String]) -> Row {
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", |cell| cell);
        let path = cell(self.path);
        let (method, path) = match path.split_once(' ') {
            Some((method, path)) => (method, path.trim()),
            None => (cell(self.method), path),
        };
        assert!(
            !method.is_empty() && path.starts_with('/'),
            "this line of the documented table names no method and path: {cells:?}"
        );
        let plan = cell(self.plan);
        let above = plan.len().saturating_sub(OR_ABOVE.len());
        let plan = match plan.split_at_checked(above) {
            Some((plan, end)) if end.eq_ignore_ascii_case(OR_ABOVE) => plan,
            _ => plan,
        };
        let none = ["", "-", "–", "none", "any"];
        Row {
            method: method.to_uppercase(),
            path: path.to_owned(),
            who: who(cell(self.permission)),
            credits: self.credits.map(|_| credits(cell(self.credits))),
            plan: (!none.contains(&&*plan.to_lowercase())).then(|| plan.to_owned()),
        }
    }
}

fn who(text: &str) -> Who {
    let lower = text.to_lowercase();
    if lower.is_empty() || lower.starts_with("none") || lower.contains("public") || lower == "-" {
        return Who::Everybody;
    }
    if lower == "session" {
        return Who::Session;
    }
    if lower.starts_with("any key") || lower.contains("authenticated") {
        return Who::AnyKey;
    }
    let scopes = |text: &str| {
        text.split(" and ")
            .map(|scope| scope.trim().to_owned())
            .collect()
    };
    Who::Scopes(text.split(" or ").map(scopes).collect())
}

fn credits(text: &str) -> Credits {
    let (number, item) = text.split_once('/').unwrap_or((text, ""));
    match (number.trim().parse(), item) {
        (Ok(credits), "") => Credits::Fixed(credits),
        (Ok(credits), _) => Credits::PerItem(credits),
        (Err(_), _) if text.eq_ignore_ascii_case("dynamic") || text.contains('–') => {
            Credits::Dynamic
        }
        (Err(_), _) => panic!("`{text}` in the documented table says no number of credits"),
    }
}

/// The cells of a line, of Markdown or of CSV, without what only makes them look like code.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let cells: Vec<String> = if line.contains('|') {
        let line = line.strip_prefix('|').unwrap_or(line);
        let line = line.strip_suffix('|').unwrap_or(line);
        line.split('|').map(str::to_owned).collect()
    } else {
        comma_separated(line)
    };
    let plain = |cell: String| cell.replace('`', "").trim().to_owned();
    cells.into_iter().map(plain).collect()
}

/// A line of RFC 4180 that does not go on in the next.
fn comma_separated(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match (character, cells.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => cells.push(String::new()),
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    cells
}
