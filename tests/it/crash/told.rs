//! What the process told before it was killed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tollgate::core::id::HoldId;

/// What an administrator does to a wallet. The name is its reference, and its actor.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) name: String,
    pub(super) organization: String,
    pub(super) doing: Doing,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Doing {
    Grant { credits: u64, lapses: bool },
    Refund { hold: HoldId, credits: u64 },
    Withdraw { credits: u64 },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.name, self.organization)?;
        match self.doing {
            Doing::Grant { credits, lapses } => write!(f, "grant {credits} {lapses}"),
            Doing::Refund { hold, credits } => write!(f, "refund {credits} {hold}"),
            Doing::Withdraw { credits } => write!(f, "withdraw {credits}"),
        }
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| format!("it said `{text}`"))
    }
}

fn read(text: &str) -> Option<Act> {
    let mut words = text.split(' ');
    let (name, organization) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (what, credits) = (words.next()?, words.next()?.parse().ok()?);
    let doing = match what {
        "grant" => Doing::Grant {
            credits,
            lapses: words.next()?.parse().ok()?,
        },
        "refund" => Doing::Refund {
            credits,
            hold: words.next()?.parse().ok()?,
        },
        "withdraw" => Doing::Withdraw { credits },
        _ => return None,
    };
    Some(Act {
        name,
        organization,
        doing,
    })
}

/// How far an act has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It was asked for. Whether it was done, nobody was told.
    Tried,
    Done,
    Refused,
}

/// What one process told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) address: Option<SocketAddr>,
    /// Whether it has ended what was open when it started.
    pub(super) swept: bool,
    /// The requests whose slow work has begun.
    pub(super) began: Vec<String>,
    pub(super) acts: BTreeMap<String, (Act, Stage)>,
}

impl Told {
    pub(super) fn read(lines: &[String]) -> Result<Self, String> {
        let mut this = Self::default();
        for line in lines {
            this.line(line).ok_or_else(|| format!("it said `{line}`"))?;
        }
        Ok(this)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "started" => {}
            "swept" => self.swept = true,
            "listening" => self.address = Some(rest.parse().ok()?),
            "began" => self.began.push(rest.to_owned()),
            "try" => {
                let act = read(rest)?;
                let stage = |it: Option<&(Act, Stage)>| it.map_or(Stage::Tried, |it| it.1);
                // What was done stays done, whoever asks again.
                let stage = stage(self.acts.get(&act.name));
                self.acts.insert(act.name.clone(), (act, stage));
            }
            "done" => self.acts.get_mut(rest)?.1 = Stage::Done,
            "refused" => {
                let (_, stage) = self.acts.get_mut(rest)?;
                // Whoever asks again for what was done is told the same again.
                if *stage == Stage::Done {
                    return None;
                }
                *stage = Stage::Refused;
            }
            _ => return None,
        }
        Some(())
    }
}
