//! What a key looks like.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether this is `<one of the prefixes><30 characters><6 of checksum>`.
#[must_use]
pub fn is_key(text: &[u8], prefixes: &[String]) -> bool {
    let Some(prefix) = prefixes.iter().find(|it| text.starts_with(it.as_bytes())) else {
        return false;
    };
    let rest = &text[prefix.len()..];
    if rest.len() != 36 || rest.iter().any(|byte| !DIGITS.contains(byte)) {
        return false;
    }
    let (body, tail) = text.split_at(text.len() - 6);
    tail == checksum(body)
}

/// A key made of this prefix and as many of these bytes as it takes.
#[must_use]
pub fn make_key(prefix: &str, random: &[u8]) -> String {
    let mut text = prefix.as_bytes().to_vec();
    let digit = |at: usize| {
        let byte = random.get(at).copied().unwrap_or_default();
        DIGITS[usize::from(byte) % 62]
    };
    text.extend((0..30).map(digit));
    let tail = checksum(&text);
    text.extend(tail);
    String::from_utf8(text).expect("prefixes and digits are ASCII")
}

/// CRC-32 bit by bit, as six base-62 digits.
fn checksum(body: &[u8]) -> [u8; 6] {
    let mut crc = u32::MAX;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1 == 1;
            crc >>= 1;
            if carry {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    let crc = !crc;
    let digit = |power: u32| DIGITS[(crc / 62_u32.pow(power) % 62) as usize];
    [digit(5), digit(4), digit(3), digit(2), digit(1), digit(0)]
}
