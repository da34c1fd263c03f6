static inline __attribute__((always_inline)) int inlined(int x) { return x * 7 + 3; }
__attribute__((noinline)) int outer(int x) { return inlined(x) ^ inlined(x + 1); }
