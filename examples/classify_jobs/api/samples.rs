//! What is bundled in place of the internet: pages to classify, and texts to scan.

/// Said of a page that answers in place of the internet's.
pub(crate) const BUNDLED: &str = "A page bundled with this example; nothing was fetched.";

/// Said of a page that is not there.
pub(crate) const NOT_BUNDLED: &str =
    "This example fetches nothing and has no page for this URL; try https://news.example/sports.";

/// A text to scan.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

pub(crate) const TEXTS: [Sample; 2] = [
    Sample {
        name: "mail",
        text: "Dear ann@acme.example, your card 4111 1111 1111 1111 was declined. \
               Sign in at http://192.0.2.7/login within a day, or write to help@bank.example.",
    },
    Sample {
        name: "config",
        text: "host = 198.51.100.9\ntoken = op_live_0000EXAMPLEONLY0000\n\
               note = Y29udGFjdCByb290QGRiLmV4YW1wbGUgYXQgMjAzLjAuMTEzLjU=\n\
               seed = q7Zt0LmX4vB9cR2yKw8NfJ5h",
    },
];

const PAGES: [(&str, &str); 4] = [
    (
        "https://news.example/sports",
        "The striker scored a late goal and the team won the final. The coach praised the players \
         after the match, and the league table has a new leader.",
    ),
    (
        "https://news.example/markets",
        "Shares fell as the central bank raised interest. Investors sold bonds, and the stock \
         market lost two percent while the fund reported lower earnings.",
    ),
    (
        "https://clinic.example/flu",
        "Patients with a fever should see a doctor. The vaccine protects against infection, and \
         the hospital offers treatment without an appointment.",
    ),
    (
        "https://kitchen.example/bread",
        "Mix flour, water, salt and yeast, knead the dough and bake it in a hot oven. Serve the \
         bread with butter.",
    ),
];

/// The bundled page of a URL.
pub(crate) fn page(url: &str) -> Option<&'static str> {
    let page = PAGES.iter().find(|(known, _)| *known == url);
    page.map(|(_, text)| *text)
}
