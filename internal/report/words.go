package report

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// maxClaims is how many services a headline and its sentences name.
const maxClaims = 6

// manyRounds is from where on nobody would wait for more rounds: four times what a run does at most.
const manyRounds = 60

// label is a service as people recognise it: Go and Rust in the default pair, else its name.
func (r Report) label(service string) Text {
	switch {
	case service == "go" && r.Services[service].Lang == plan.Go:
		return say(plain("Go"))
	case service == "rust" && r.Services[service].Lang == plan.Rust:
		return say(plain("Rust"))
	}
	return say(name(service))
}

// headline is the decision: one claim per service.
func (r Report) headline(o Options) Text {
	switch r.State {
	case Running:
		return say(mark(Neutral), plain("measuring"))
	case Superseded:
		return say(mark(Neutral), plain("superseded, head moved on"))
	case result.NothingChanged:
		return say(mark(Good), plain("nothing to measure"))
	case result.Cancelled:
		return say(mark(Neutral), plain("cancelled, not judged"))
	}
	var claims []Text
	if p := r.Parity; p != nil && p.Differences > 0 {
		words := say(mark(Doubt), plain("answers differ"))
		if r.broke {
			words = say(mark(Bad), Span{Text: "answers stopped agreeing", Tone: Bad})
		}
		claims = append(claims, words)
	}
	if r.Base == nil && len(r.Failures) == 0 && r.State == result.Measured {
		return join(append(claims, say(mark(Neutral), plain("measured at head alone, baseline: none"))), ", ")
	}
	for i, service := range r.order {
		if i == maxClaims {
			claims = append(claims, say(plain(count(len(r.order)-i)+" more")))
			break
		}
		claims = append(claims, r.claim(service))
	}
	if len(claims) == 0 {
		return say(mark(Neutral), plain("not judged"))
	}
	return join(claims, ", ")
}

// claim is one service's verdict in words.
func (r Report) claim(service string) Text {
	s := r.Services[service]
	words, tone := "not judged", Neutral
	switch {
	case r.failed(service, plan.Head) != "":
		words, tone = r.failed(service, plan.Head)+" at head", Bad
	case r.failed(service, plan.Base) != "":
		words = "not judged (" + r.failed(service, plan.Base) + " at base)"
	case s.HeadOnly:
		words = "not judged (new at head)"
	case s.Identical:
		words, tone = "identical", Good
	case s.Verdict == compare.Regressed:
		words, tone = "regressed", Bad
	case s.Verdict == compare.Improved:
		words, tone = "improved", Good
	case s.Verdict == compare.Unchanged:
		words, tone = "unchanged", Good
	case s.Verdict == compare.Inconclusive:
		words, tone = "inconclusive", Doubt
	}
	out := append(say(mark(tone)), r.label(service)...)
	out = append(out, plain(" "), plain(words))
	for i := range out {
		out[i].Tone = tone
	}
	return out
}

// failed says what a variant did not do, empty when it did all.
func (r Report) failed(service string, side plan.Side) string {
	for _, f := range r.Failures {
		if f.Variant == (plan.Variant{Service: service, Side: side}) {
			return failureWords(f.Step)
		}
	}
	return ""
}

func failureWords(step string) string {
	switch step, _, _ = strings.Cut(step, " "); step { // "measuring list" names its workload
	case "starting":
		return "does not start"
	case "parity":
		return "gave no answers to compare"
	case "measuring":
		return "did not survive the load"
	}
	return "does not build" // each of build's steps
}

// summary is what to know and do, the most important sentence first.
func (r Report) summary(o Options) []Text {
	var out []Text
	switch r.State {
	case Running:
		out = append(out, say(plain("This comment will be replaced by the result.")))
		if known := r.Head.SHA != ""; known {
			out = append(out, say(plain("Head is "), name(short(r.Head.SHA)), plain(".")))
		}
		return out
	case Superseded:
		line := say(plain("Head has moved on"))
		if o.NewHead != "" {
			line = append(line, plain(" to "), name(short(o.NewHead)))
		}
		return append(out, append(line, plain("; these figures are of "), name(short(r.Head.SHA)), plain(".")))
	case result.NothingChanged:
		return append(out, say(plain("Nothing that counts changed between base and head, so nothing was built. No action needed.")))
	case result.Cancelled:
		return append(out, say(Span{Text: "The run was cancelled", Bold: true}, plain(" after "+span(r.Run.Seconds)+
			": what was measured until then is not a verdict. Run it again to get one.")))
	}
	out = append(out, r.failureSentences()...)
	out = append(out, r.shardSentences()...)
	out = append(out, r.paritySentences()...)
	out = append(out, r.verdictSentences()...)
	out = append(out, r.acceptance()...)
	return append(out, r.doubtSentences()...)
}

// failureSentences says what each broken variant means for the reader.
func (r Report) failureSentences() []Text {
	var out []Text
	for i, f := range r.Failures {
		if i == maxClaims {
			return append(out, say(plain(count(len(r.Failures)-i)+" more failures.")))
		}
		line := append(r.label(f.Variant.Service), plain(" "+failureWords(f.Step)+" at "+string(sideWord(f.Variant.Side))))
		if f.Variant.Side == plan.Base {
			out = append(out, append(line, plain(": head has nothing to be compared with. Head is not to blame.")))
			continue
		}
		out = append(out, append(bold(line), plain(": please read the last lines below.")))
	}
	if len(r.Failures) == 0 && r.State == result.NotMeasured {
		line := say(Span{Text: "Head could not be measured", Bold: true})
		if r.why != "" {
			line = append(line, plain(": "), prose(r.why))
		}
		out = append(out, append(line, plain(".")))
	}
	return out
}

// acceptance says who let pass what the gate would refuse. What regressed is said all the same.
func (r Report) acceptance() []Text {
	if r.Accepted == nil {
		return nil
	}
	return []Text{say(Span{Text: "Accepted by ", Bold: true}, Span{Text: r.Accepted.By, Name: true, Bold: true},
		plain(" (label "), name(r.Accepted.Label), plain("): the gate lets it pass."))}
}

func sideWord(s plan.Side) plan.Side {
	if s == plan.Base {
		return plan.Base
	}
	return plan.Head
}

func (r Report) paritySentences() []Text {
	p := r.Parity
	if p == nil || p.Differences == 0 {
		return nil
	}
	of := count(p.Differences) + " of " + count(p.Requests) + " requests"
	var out []Text
	if r.broke {
		out = append(out, say(Span{Text: "Answers stopped agreeing at head", Bold: true},
			plain(": "+of+" were answered differently where base agreed. Please read.")))
	} else {
		out = append(out, say(Span{Text: "Answers differ", Bold: true}, plain(": "+of+" were answered differently.")))
	}
	if slices.ContainsFunc(r.Pairs, func(p Pair) bool { return p.Withheld }) {
		out = append(out, say(plain("Rust ÷ Go is withheld: the two do not do the same work. Fields that may differ can be named in "),
			name("parity.ignore"), plain(".")))
	}
	return out
}

// verdictSentences names the worst regression, or says that nothing is to be done.
func (r Report) verdictSentences() []Text {
	regressed, improved, doubtful := r.with(compare.Regressed), r.with(compare.Improved), r.with(compare.Inconclusive)
	broken := slices.ContainsFunc(r.Failures, func(f result.Failure) bool { return f.Variant.Side != plan.Base })
	switch {
	case len(regressed) > 0:
		worst := r.largest(regressed)
		if r.Worst != nil {
			worst = *r.Worst
		}
		return []Text{append(r.moved(worst), plain(amongst(len(regressed), "the worst of", "regression")+": please read."))}
	case r.Verdict == compare.Regressed || broken || r.State != result.Measured:
		return nil
	case len(r.unfinished()) > 0:
		return []Text{say(plain("Nothing regressed in what was measured. Run again what is missing."))}
	case r.Base == nil:
		line := say(Span{Text: "Baseline: none", Bold: true})
		if r.NoBase != "" {
			line = append(line, plain(" ("), name(r.NoBase), plain(")"))
		}
		return []Text{append(line, plain(". Head alone is shown and nothing is judged. No action needed."))}
	case len(improved) > 0:
		return []Text{append(r.moved(r.largest(improved)), plain(amongst(len(improved), "the largest of", "improvement")+". No action needed."))}
	case len(r.order) > 0 && r.all(func(s Service) bool { return s.Identical }):
		return []Text{say(plain("Base and head are the same program with the same inputs, so only head was measured. No action needed."))}
	case len(doubtful) > 0:
		return []Text{say(plain("No regression was found. No action needed."))}
	case r.broke:
		return []Text{say(plain("No row regressed."))}
	case r.Verdict == compare.Unchanged:
		return []Text{say(plain("No row moved by more than its margin. No action needed."))}
	}
	return []Text{say(plain("Nothing regressed. No action needed."))}
}

// amongst is " is the only regression" or " is the worst of 2 regressions".
func amongst(n int, rank, noun string) string {
	if n == 1 {
		return " is the only " + noun
	}
	return " is " + rank + " " + count(n) + " " + noun + "s"
}

// moved names a row and its effect.
func (r Report) moved(row Row) Text {
	line := r.label(row.Service)
	if row.Workload != "" {
		line = append(line, plain(" · "), name(row.Workload))
	}
	line = append(line, plain(" · "), metricLabel(row.Metric), plain(" "+percentOf(row.Ratio)))
	line = bold(line)
	if row.CI != nil {
		line = append(line, plain(" "+interval(row.CI)))
	}
	return line
}

// doubtSentences says what could not be judged, in words.
func (r Report) doubtSentences() []Text {
	var out []Text
	noisy := slices.DeleteFunc(r.with(compare.Inconclusive), func(row Row) bool { return row.Compiler })
	if n := len(r.with(compare.Inconclusive)) - len(noisy); n > 0 {
		out = append(out, say(plain(plural(n, "row")+" got worse by the compiler's inlining, not your code: counted as inconclusive.")))
	}
	if n := len(noisy); n > 0 {
		line := count(n) + " of " + count(len(r.Rows)) + " rows are inconclusive: too noisy to tell."
		if n == 1 {
			line = "1 of " + count(len(r.Rows)) + " rows is inconclusive: too noisy to tell."
		}
		more := 0
		for _, row := range r.Rows {
			more = max(more, row.MoreRounds)
		}
		switch {
		case more > manyRounds:
			line += " That takes a quieter machine."
		case more > 0:
			line += " About " + count(more) + " more rounds would settle that."
		}
		out = append(out, say(plain(line)))
	}
	for i, service := range r.order {
		if s := r.Services[service]; i < maxClaims && s.Why != "" && r.Base != nil && r.failed(service, plan.Head)+r.failed(service, plan.Base) == "" {
			out = append(out, append(r.label(service), plain(": "), prose(strings.TrimSuffix(s.Why, ".")), plain(".")))
		}
	}
	if n := len(r.Run.Dropped); n > 0 {
		out = append(out, r.leftOut(n))
	}
	if n := len(r.Warnings); n > 0 {
		out = append(out, say(plain(plural(n, "warning")+", listed below.")))
	}
	return out
}

// leftOut names the workloads that the budget had no room for.
func (r Report) leftOut(n int) Text {
	names := make([]Text, 0, maxClaims)
	for _, d := range r.Run.Dropped[:min(n, maxClaims)] {
		names = append(names, say(name(d.Workload)))
	}
	out := append(say(plain("Left out: ")), join(names, ", ")...)
	if n > maxClaims {
		out = append(out, plain(" and "+count(n-maxClaims)+" more"))
	}
	return append(out, plain("."))
}

// plural is "1 workload" or "2 workloads".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

func (r Report) all(is func(Service) bool) bool {
	for _, s := range r.Services {
		if !is(s) {
			return false
		}
	}
	return true
}

// with is every row of one verdict.
func (r Report) with(v compare.Verdict) []Row {
	var out []Row
	for _, row := range r.Rows {
		if row.Verdict == v {
			out = append(out, row)
		}
	}
	return out
}

// largest is the row that is furthest beyond its margin.
func (r Report) largest(rows []Row) Row {
	return slices.MaxFunc(rows, func(a, b Row) int { return cmp.Compare(beyond(a), beyond(b)) })
}

// beyond is |ln(near end of the interval)| ÷ ln(1 + margin), 0 when there is no interval.
func beyond(row Row) float64 {
	if row.CI == nil || row.Margin <= 0 || row.CI[0] <= 0 {
		return 0
	}
	lo, hi := math.Log(row.CI[0]), math.Log(row.CI[1])
	if lo <= 0 && hi >= 0 {
		return 0
	}
	return math.Min(math.Abs(lo), math.Abs(hi)) / math.Log1p(row.Margin)
}

// metricLabel is a metric as people read it; one that Duet does not know stays a name.
func metricLabel(metric string) Span {
	if m, ok := result.MetricByName(metric); ok {
		return plain(m.Label)
	}
	return name(metric)
}

// short is a commit's short name.
func short(sha string) string {
	if runes := []rune(sha); len(runes) > 7 {
		return string(runes[:7])
	}
	return sha
}
