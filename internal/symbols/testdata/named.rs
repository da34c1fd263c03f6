mod inner {
    pub struct Mixer<T>(pub T);

    impl<T: Into<u64> + Copy> Mixer<T> {
        #[inline(never)]
        pub fn mix(&self, rounds: u64) -> u64 {
            inlined(self.0.into(), rounds) // line 7
        }
    }

    #[inline(always)]
    fn inlined(mut x: u64, rounds: u64) -> u64 {
        for i in 0..rounds {
            x = x.rotate_left(7).wrapping_mul(0x9e3779b97f4a7c15) ^ i; // line 14
        }
        x
    }
}

fn main() {
    println!("{}", inner::Mixer(std::env::args().count() as u32).mix(3));
}
