package workload

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/url"
	"slices"
	"sort"
	"strings"
	"text/template"
)

// dice are the seeded draws behind the template functions. Only whole numbers are drawn, so that every machine
// draws alike.
type dice struct {
	rng      *rand.Rand
	captures Captures
	message  int              // from 1
	left     int              // draws that this message may still make
	skews    map[int][]uint64 // cumulative Zipf weights, by how many values there are
}

// newDice seeds by purpose too, so that setup and stream, and two workloads, do not repeat each other.
func newDice(seed uint64, purpose string, captures Captures) *dice {
	h := fnv.New64a()
	h.Write([]byte(purpose)) // never fails: hash.Hash
	return &dice{rng: rand.New(rand.NewPCG(seed, h.Sum64())), captures: captures, skews: map[int][]uint64{}}
}

// next starts the next message.
func (d *dice) next() { d.message, d.left = d.message+1, maxDraws }

func (d *dice) spend(draws int) error {
	if d.left -= draws; d.left < 0 {
		return fmt.Errorf("more than %d draws in one message", maxDraws)
	}
	return nil
}

func (d *dice) functions() template.FuncMap {
	return template.FuncMap{
		"seq": func() int { return d.message }, "int": d.int, "hex": d.hex, "n": d.n,
		"word": d.word, "words": d.words, "pick": d.pick, "capture": d.capture, "zipf": d.zipf,
		"print": d.print, "urlquery": d.urlquery, // text/template's own could double a text with every call
	}
}

// int draws a whole number from low to high, both included.
func (d *dice) int(low, high int) (int, error) {
	if low > high || low < -maxIntBound || high > maxIntBound {
		return 0, fmt.Errorf("int %d %d: expected low, then high, within ±2^53", low, high)
	}
	return low + int(d.rng.Uint64N(uint64(high-low)+1)), nil
}

// hex draws so many hexadecimal digits.
func (d *dice) hex(digits int) (string, error) {
	if digits < 1 || digits > maxHex {
		return "", fmt.Errorf("hex %d: expected 1 to %d digits", digits, maxHex)
	}
	if err := d.spend(digits); err != nil {
		return "", err
	}
	out := make([]byte, digits)
	for i := range out {
		out[i] = "0123456789abcdef"[d.rng.Uint64N(16)]
	}
	return string(out), nil
}

// n is a count to range over; compile has bounded it.
func (d *dice) n(count int) ([]int, error) {
	if count < 1 || count > maxRange {
		return nil, fmt.Errorf("n %d: expected 1 to %d", count, maxRange)
	}
	if err := d.spend(count); err != nil {
		return nil, err
	}
	turns := make([]int, count)
	for i := range turns {
		turns[i] = i
	}
	return turns, nil
}

func (d *dice) word() string { return dictionary[d.rng.Uint64N(uint64(len(dictionary)))] }

func (d *dice) words(count int) (string, error) {
	if count < 1 || count > maxWords {
		return "", fmt.Errorf("words %d: expected 1 to %d", count, maxWords)
	}
	if err := d.spend(count); err != nil {
		return "", err
	}
	out := make([]string, count)
	for i := range out {
		out[i] = d.word()
	}
	return strings.Join(out, " "), nil
}

func (d *dice) pick(choices ...any) (any, error) {
	if len(choices) == 0 {
		return nil, fmt.Errorf("pick: expected at least one choice")
	}
	return choices[d.rng.Uint64N(uint64(len(choices)))], nil
}

func (d *dice) print(values ...any) (string, error) {
	s := fmt.Sprint(values...)
	if len(s) > maxPrinted {
		return "", fmt.Errorf("print: expected at most %d bytes", maxPrinted)
	}
	return s, d.spend(1 + len(s)/64)
}

func (d *dice) urlquery(value any) (string, error) {
	s, err := d.print(value)
	if err != nil {
		return "", err
	}
	return d.print(url.QueryEscape(s))
}

// capture draws a captured value, each as likely.
func (d *dice) capture(name string) (string, error) {
	values, err := d.captured("capture", name)
	if err != nil {
		return "", err
	}
	return values[d.rng.Uint64N(uint64(len(values)))], nil
}

// zipf draws a captured value, the k-th with weight 1/k: a few are asked for often, most rarely.
func (d *dice) zipf(name string) (string, error) {
	values, err := d.captured("zipf", name)
	if err != nil {
		return "", err
	}
	sums, ok := d.skews[len(values)]
	if !ok {
		sums = make([]uint64, len(values))
		var sum uint64
		for k := range sums {
			sum += (1 << 40) / uint64(k+1)
			sums[k] = sum
		}
		d.skews[len(values)] = sums
	}
	draw := d.rng.Uint64N(sums[len(sums)-1])
	return values[sort.Search(len(sums), func(k int) bool { return sums[k] > draw })], nil
}

func (d *dice) captured(function, name string) ([]string, error) {
	values := d.captures[name]
	if len(values) > 0 {
		return values, nil
	}
	known := []string{}
	for other, values := range d.captures {
		if len(values) > 0 {
			known = append(known, other)
		}
	}
	slices.Sort(known)
	return nil, fmt.Errorf("%s %q: nothing was captured under that name: expected one of %q", function, name, known)
}

// dictionary is what word draws from: ordinary words of unlike length, plain in JSON and in a path.
var dictionary = [...]string{
	"able", "acid", "amber", "anchor", "apple", "arch", "atlas", "autumn", "bacon", "badge", "bamboo", "basin", "beacon", "birch", "blanket", "bottle",
	"branch", "bridge", "bronze", "butter", "cabin", "candle", "canyon", "carbon", "castle", "cedar", "cherry", "circle", "clover", "cobalt", "copper", "coral",
	"cotton", "cradle", "crystal", "curtain", "dawn", "delta", "desert", "diamond", "dolphin", "dragon", "eagle", "echo", "ember", "engine", "fabric", "falcon",
	"feather", "fern", "fiddle", "flint", "forest", "fossil", "galaxy", "garden", "ginger", "glacier", "granite", "grape", "harbor", "hazel", "helmet", "hollow",
	"honey", "horizon", "ice", "indigo", "iron", "island", "ivory", "jacket", "jade", "jasmine", "jungle", "kernel", "kettle", "ladder", "lagoon", "lantern",
	"lava", "lemon", "lily", "linen", "magnet", "maple", "marble", "meadow", "mercury", "mirror", "mist", "moon", "mountain", "nectar", "needle", "nickel",
	"oak", "ocean", "olive", "onyx", "opal", "orchid", "otter", "paper", "pearl", "pebble", "pepper", "pine", "planet", "plum", "pocket", "prairie",
	"quartz", "quill", "rabbit", "rain", "raven", "reef", "ribbon", "river", "rocket", "rose", "saddle", "saffron", "sand", "satin", "shadow", "silver",
	"smoke", "snow", "spruce", "stone", "storm", "sugar", "summit", "sunset", "thistle", "thunder", "tiger", "timber", "topaz", "tulip", "tundra", "valley",
	"velvet", "violet", "walnut", "water", "wave", "willow", "window", "winter", "wolf", "zephyr",
}
