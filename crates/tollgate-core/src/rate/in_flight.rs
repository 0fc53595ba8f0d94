//! How many requests are under way at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::rate::Subject;

/// Counts the requests that each subject has under way in this process.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<HashMap<Subject, u32, RandomState>>>);

/// One request under way; dropping it says that it is over.
pub struct InFlightPermit {
    in_flight: InFlight,
    subject: Subject,
}

impl InFlight {
    /// Nothing is under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets one more request in, unless `cap` are under way.
    #[must_use]
    pub fn enter(&self, subject: &Subject, cap: NonZeroU32) -> Option<InFlightPermit> {
        let mut counts = self.0.lock();
        let count = match counts.get_mut(subject) {
            Some(count) => count,
            None => counts.entry(subject.clone()).or_default(),
        };
        if *count >= cap.get() {
            return None;
        }
        *count = count.saturating_add(1);
        Some(InFlightPermit {
            in_flight: self.clone(),
            subject: subject.clone(),
        })
    }

    /// How many are under way.
    #[must_use]
    pub fn current(&self, subject: &Subject) -> u32 {
        self.0.lock().get(subject).copied().unwrap_or(0)
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        let mut counts = self.in_flight.0.lock();
        if let Entry::Occupied(mut count) = counts.entry(self.subject.clone()) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

impl fmt::Debug for InFlightPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlightPermit")
            .field(&self.subject)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::id::OrgId;

    #[test]
    fn as_many_as_the_cap_are_let_in_and_one_more_when_one_is_over() {
        let in_flight = InFlight::new();
        let [acme, other] =
            ["acme", "other"].map(|name| Subject::organization(OrgId::new(name).unwrap()));
        let cap = NonZeroU32::new(2).unwrap();
        let first = in_flight.enter(&acme, cap).unwrap();
        let _second = in_flight.enter(&acme, cap).unwrap();
        assert!(in_flight.enter(&acme, cap).is_none());
        assert_eq!(
            (in_flight.current(&acme), in_flight.current(&other)),
            (2, 0)
        );
        assert!(in_flight.enter(&other, cap).is_some());
        assert_eq!(format!("{in_flight:?}"), "InFlight { .. }");
        assert!(format!("{first:?}").contains("acme"));
        drop(first);
        assert_eq!(in_flight.current(&acme), 1);
        assert!(in_flight.enter(&acme, cap).is_some());
    }

    #[test]
    fn never_more_than_the_cap_even_in_a_race() {
        let in_flight = InFlight::new();
        let subject = Subject::organization(OrgId::new("acme").unwrap());
        let cap = NonZeroU32::new(3).unwrap();
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if let Some(_permit) = in_flight.enter(&subject, cap) {
                            let inside = now.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(inside, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(in_flight.current(&subject), 0);
        assert!(in_flight.0.lock().is_empty());
    }
}
