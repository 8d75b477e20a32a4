//! Which keys a run cannot hold: a split block Bloom filter (Apache Parquet, "Bloom Filter"), whose look at one key is a look
//! at one line of the processor's cache. Keys are digests, so nothing is hashed again.

use sonnette_core::model::IdempotencyKey;

/// One bit in each word is set for a key.
type Block = [u32; WORDS];
const WORDS: usize = 8;
/// One key in about 200 that is not there seems to be.
const BITS_A_KEY: usize = 12;
/// The constants of the format.
const SALT: Block =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

pub(super) struct Filter(Vec<Block>);

impl Filter {
    pub(super) fn of<'a>(keys: impl ExactSizeIterator<Item = &'a IdempotencyKey>) -> Self {
        let blocks = (keys.len() * BITS_A_KEY).div_ceil(WORDS * 32).max(1);
        let mut filter = Self(vec![[0; WORDS]; blocks]);
        for key in keys {
            let (block, bits) = filter.place(key);
            if let Some(block) = filter.0.get_mut(block) {
                block.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }

    /// `false` only if the key was not among those the filter was made of.
    pub(super) fn may_hold(&self, key: &IdempotencyKey) -> bool {
        let (block, bits) = self.place(key);
        self.0.get(block).is_none_or(|block| block.iter().zip(bits).all(|(word, bit)| word & bit != 0))
    }

    /// The block of a key, and its bit in each word. Runs are sorted by the first bytes of keys: the last ones are taken here.
    fn place(&self, key: &IdempotencyKey) -> (usize, Block) {
        let [.., a, b, c, d, e, f, g, h] = *key;
        let (of_block, of_bits) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let block = (u64::from(of_block) * self.0.len() as u64) >> 32;
        (
            usize::try_from(block).unwrap_or(usize::MAX),
            SALT.map(|salt| 1 << (of_bits.wrapping_mul(salt) >> 27)),
        )
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let (blocks, _) = words.as_chunks::<WORDS>();
        Self(blocks.iter().map(|block| block.map(u32::from_le_bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn key(n: u32) -> IdempotencyKey {
        *Sha256::digest(n.to_le_bytes()).first_chunk().unwrap()
    }

    #[test]
    fn what_was_put_in_is_always_found_and_little_else() {
        let keys: Vec<_> = (0..20_000).map(key).collect();
        let made = Filter::of(keys.iter());
        let filter = Filter::from_bytes(&made.to_bytes());
        assert_eq!((filter.0.len(), &filter.0), (20_000 * BITS_A_KEY / 256 + 1, &made.0));
        assert!(keys.iter().all(|key| filter.may_hold(key)));
        let wrong = (20_000..40_000).filter(|n| filter.may_hold(&key(*n))).count();
        assert!(wrong < 300, "{wrong} of 20,000 seem to be there");
        assert!(!Filter::of([].iter()).may_hold(&key(0)));
    }
}
