//! Time stamps (RFC 3161): the request for one, and what can be read of the answer without the keys of the authority.

use super::Invalid;
use crate::digest::sha256;

/// `2.16.840.1.101.3.4.2.1`, SHA-256, as its DER content.
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// `1.2.840.113549.1.7.2`, signed data.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// `1.2.840.113549.1.9.16.1.4`, the content of a time stamp.
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const CONTEXT_0: u8 = 0xa0;

/// The request to stamp a text, with a random number that the answer repeats.
pub fn request(text: &[u8], nonce: [u8; 8]) -> Vec<u8> {
    // A positive number has its first bit clear.
    let nonce = [&[1], nonce.as_slice()].concat();
    let algorithm = der(SEQUENCE, &[der(OBJECT, SHA_256), der(NULL, &[])].concat());
    let imprint = der(SEQUENCE, &[algorithm, der(OCTETS, &sha256(&[text]))].concat());
    let parts = [der(INTEGER, &[1]), imprint, der(INTEGER, &nonce), der(BOOLEAN, &[0xff])];
    der(SEQUENCE, &parts.concat())
}

/// What an answer says: the stamped digest and the time; the signature of the authority is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    digest: Vec<u8>,
    nonce: Option<Vec<u8>>,
    /// The time as the authority wrote it, `YYYYMMDDhhmmss[.f]Z`.
    pub time: String,
}

impl Stamp {
    /// Reads an answer that grants a stamp.
    pub fn parse(answer: &[u8]) -> Result<Self, Invalid> {
        Self::read(answer).ok_or_else(|| Invalid::new("it is no time stamp of RFC 3161 that was granted"))
    }

    fn read(answer: &[u8]) -> Option<Self> {
        let mut response = Reader::whole(answer)?.enter(SEQUENCE)?;
        let status = response.enter(SEQUENCE)?.take(INTEGER)?;
        // 0 granted, 1 granted with modifications.
        if !matches!(status, [0 | 1]) {
            return None;
        }
        let mut content = response.enter(SEQUENCE)?;
        if content.take(OBJECT)? != SIGNED_DATA {
            return None;
        }
        let mut signed = content.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        signed.skip()?;
        signed.skip()?;
        let mut encapsulated = signed.enter(SEQUENCE)?;
        if encapsulated.take(OBJECT)? != TST_INFO {
            return None;
        }
        let octets = encapsulated.enter(CONTEXT_0)?.take(OCTETS)?;
        let mut info = Reader::whole(octets)?.enter(SEQUENCE)?;
        info.take(INTEGER)?;
        info.take(OBJECT)?;
        let mut imprint = info.enter(SEQUENCE)?;
        if imprint.enter(SEQUENCE)?.take(OBJECT)? != SHA_256 {
            return None;
        }
        let digest = imprint.take(OCTETS)?.to_vec();
        info.take(INTEGER)?;
        let time = String::from_utf8(info.take(GENERALIZED_TIME)?.to_vec()).ok()?;
        let mut nonce = None;
        while let Some((tag, value)) = info.next() {
            if tag == INTEGER {
                nonce = Some(value.to_vec());
            }
        }
        Some(Self { digest, nonce, time })
    }

    /// Whether it is of a text.
    pub fn is_of(&self, text: &[u8]) -> bool {
        self.digest == sha256(&[text])
    }

    /// Whether it answers the request with a random number.
    pub fn answers(&self, nonce: [u8; 8]) -> bool {
        self.nonce.as_deref() == Some(&[&[1], nonce.as_slice()].concat())
    }
}

/// One value in DER, of at most 65,535 bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    bytes.extend_from_slice(content);
    bytes
}

/// Reads values in DER one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Bytes that are exactly one value.
    fn whole(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Self(bytes);
        rest.next()?;
        rest.0.is_empty().then_some(Self(bytes))
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(*first),
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(first - 0x80))?;
                rest = after;
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((*tag, content))
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    fn skip(&mut self) -> Option<()> {
        self.next().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as an authority gives it, without certificates and signatures.
    fn answer(text: &[u8], nonce: [u8; 8], status: u8) -> Vec<u8> {
        let mut request =
            Reader(&request(text, nonce)).enter(SEQUENCE).map(|reader| reader.0.to_vec()).unwrap_or_default();
        // The imprint and the number of the request, as it had them.
        let mut reader = Reader(&request);
        reader.skip().and_then(|()| reader.skip()).expect("a request");
        let imprint_end = request.len() - reader.0.len();
        let nonce = reader.take(INTEGER).expect("a number").to_vec();
        request.truncate(imprint_end);
        let imprint = &request[3..];
        let time = der(GENERALIZED_TIME, b"20261121120000Z");
        let accuracy = der(SEQUENCE, &der(INTEGER, &[1]));
        let parts = [
            der(INTEGER, &[1]),
            der(OBJECT, &[0x2a, 0x03]),
            imprint.to_vec(),
            der(INTEGER, &[5]),
            time,
            accuracy,
            der(INTEGER, &nonce),
        ];
        let info = der(CONTEXT_0, &der(OCTETS, &der(SEQUENCE, &parts.concat())));
        let encapsulated = der(SEQUENCE, &[der(OBJECT, TST_INFO), info].concat());
        let signed = der(SEQUENCE, &[der(INTEGER, &[3]), der(0x31, &[]), encapsulated, der(0x31, &[0; 300])].concat());
        let content = der(SEQUENCE, &[der(OBJECT, SIGNED_DATA), der(CONTEXT_0, &signed)].concat());
        der(SEQUENCE, &[der(SEQUENCE, &der(INTEGER, &[status])), content].concat())
    }

    #[test]
    fn a_stamp_is_of_one_text_and_answers_one_request() {
        let granted = answer(b"text", [7; 8], 0);
        let stamp = Stamp::parse(&granted).expect("a stamp");
        assert_eq!(stamp.time, "20261121120000Z");
        assert!(stamp.is_of(b"text") && !stamp.is_of(b"other"));
        assert!(stamp.answers([7; 8]) && !stamp.answers([8; 8]));
        assert!(Stamp::parse(&answer(b"text", [7; 8], 2)).is_err(), "refused");
        for length in 0..granted.len() {
            assert!(Stamp::parse(&granted[..length]).is_err(), "cut to {length}");
        }
        assert!(Stamp::parse(&[granted.as_slice(), &[0]].concat()).is_err(), "more behind it");
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        // As `openssl ts -query -data text -sha256 -cert` makes it, with this number.
        let made = request(b"text", [0x11; 8]);
        assert_eq!(made[..9], [0x30, 0x44, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d]);
        assert_eq!(made[made.len() - 3..], [0x01, 0x01, 0xff]);
        assert_eq!(made.len(), 2 + 0x44);
    }
}
