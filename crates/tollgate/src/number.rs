//! Numbers as header values, mostly without an allocation.
//!
//! Limits, remainders and reset times repeat all the time, so each thread keeps the last value
//! of each slot of a small table.

use std::cell::RefCell;

use http::HeaderValue;

const SLOTS: usize = 256;

thread_local! {
    static TABLE: RefCell<Vec<Option<(u64, HeaderValue)>>> =
        const { RefCell::new(Vec::new()) };
}

/// The decimal form of a number.
pub(crate) fn header(number: u64) -> HeaderValue {
    TABLE.with_borrow_mut(|table| {
        if table.is_empty() {
            table.resize(SLOTS, None);
        }
        // The lowest byte: as many slots as it has values.
        let slot = usize::from(number.to_le_bytes()[0]);
        let Some(slot) = table.get_mut(slot) else {
            return HeaderValue::from(number);
        };
        match slot {
            Some((kept, value)) if *kept == number => value.clone(),
            _ => slot.insert((number, HeaderValue::from(number))).1.clone(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_slot_do_not_mix() {
        for number in [0, 256, 0, u64::MAX, 255, 511, 255] {
            assert_eq!(header(number), number.to_string());
        }
    }
}
