//! Numbers as header values, mostly without an allocation.
//!
//! Limits, remainders and reset times repeat all the time, so each thread keeps the last value
//! of each slot of a small table.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue};

const SLOTS: usize = 256;

thread_local! {
    static TABLE: RefCell<Vec<Option<(u64, HeaderValue)>>> =
        const { RefCell::new(Vec::new()) };
}

/// Writes numbers as headers.
pub(crate) fn write<const N: usize>(numbers: [(&HeaderName, u64); N], to: &mut HeaderMap) {
    TABLE.with_borrow_mut(|table| {
        if table.is_empty() {
            table.resize(SLOTS, None);
        }
        for (name, number) in numbers {
            // The lowest byte: as many slots as it has values.
            let slot = table.get_mut(usize::from(number.to_le_bytes()[0]));
            to.insert(name, value(slot, number));
        }
    });
}

/// The decimal form of a number, kept in its slot.
fn value(slot: Option<&mut Option<(u64, HeaderValue)>>, number: u64) -> HeaderValue {
    match slot {
        Some(Some((kept, value))) if *kept == number => value.clone(),
        Some(slot) => slot.insert((number, HeaderValue::from(number))).1.clone(),
        None => HeaderValue::from(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_slot_do_not_mix() {
        let name = HeaderName::from_static("n");
        for number in [0, 256, 0, u64::MAX, 255, 511, 255] {
            let mut headers = HeaderMap::new();
            write([(&name, number)], &mut headers);
            assert_eq!(headers[&name], number.to_string());
        }
    }
}
