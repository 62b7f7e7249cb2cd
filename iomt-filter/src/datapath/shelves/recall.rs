//! What an earlier process has written into the tables in lines: made once more from rows, and compared.

use iomt_filter_common::lookup::Directory;

use super::{FIRST, Half, Shelf, Shelves, WORDS};
use crate::datapath::drift::digest;
use crate::feeds::merge::severest;
use crate::image::{self, Image, ImageError, PolicyRows};
use crate::rows::{Prefixes, Rows};

impl Shelves {
    /// Knows again the halves that `read` refers to, where they hold what `rows` say; the names of the tables where
    /// they do not. Nothing is written.
    pub(in crate::datapath) fn recall(&mut self, rows: &Rows, read: &Directory) -> Vec<&'static str> {
        let [in_listings, in_blocks, in_countries, in_policy] = read.halves;
        let of_blocks = |base| image::listings(&rows.blocks, base, read.blocks.seed);
        // Blocks that have no room in their table went among the listings.
        let fit = of_blocks(FIRST).is_ok_and(|image| self.blocks.takes(&image.lines));
        let listings = if fit { rows.listings.clone() } else { severest(&rows.listings, &rows.blocks) };
        let blocks = if fit { rows.blocks.clone() } else { Prefixes::default() };
        let of_listings = |base| image::listings(&listings, base, read.listings.seed);
        let of_blocks = |base| image::listings(&blocks, base, read.blocks.seed);
        let of_countries = |base| image::countries(&rows.countries, base);
        let of_policy = PolicyRows::from(rows);
        let known = [
            (self.listings.name, self.listings.recall(in_listings, &listings, &read.listings, of_listings)),
            (self.blocks.name, self.blocks.recall(in_blocks, &blocks, &read.blocks, of_blocks)),
            (
                self.countries.name,
                self.countries.recall(in_countries, &rows.countries, &read.countries, of_countries),
            ),
            (
                self.policy.name,
                self.policy
                    .recall(in_policy, &of_policy, &read.policy, |base| image::policy(&of_policy, base)),
            ),
        ];
        known.into_iter().filter(|(_, is_known)| !is_known).map(|(name, _)| name).collect()
    }
}

impl<R: Clone + PartialEq, T: Copy + Default + PartialEq> Shelf<R, T> {
    /// Whether the half holds the image of `rows`, which it is then known to.
    fn recall(
        &mut self,
        half: u32,
        rows: &R,
        tables: &T,
        image: impl Fn(u32) -> Result<Image<T>, ImageError>,
    ) -> bool {
        let half = half as usize & 1;
        if let Some((held, _)) = &self.halves[half].held {
            return held == rows;
        }
        let first = FIRST as usize + half * self.half as usize;
        let Ok(Image { tables: made, lines }) = image(first as u32) else { return false };
        if made != *tables || !self.takes(&lines) {
            return false;
        }
        let (first, words) = (first * WORDS, lines.as_flattened());
        let (mut is_same, mut made) = (true, words.iter());
        self.words.read(first, words.len(), |word| is_same &= made.next() == Some(&word));
        if is_same {
            let digest = digest(&self.words, first, words.len());
            self.halves[half] = Half { held: Some((rows.clone(), *tables)), used: lines.len(), digest };
        }
        is_same
    }
}
