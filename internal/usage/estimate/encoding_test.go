package estimate

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/pkoukk/tiktoken-go"
	"github.com/stretchr/testify/require"
	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/sofatutor/llm-proxy/internal/usage/estimate/ranks"
)

//go:embed testdata/token-counts.json
var corpusJSON []byte

// countCase is one case of the corpus: what Python's tiktoken says, and what OpenAI publishes.
type countCase struct {
	Name, Model, Encoding, How string
	Expected                   int
	Text                       *string
	Repeat                     *struct {
		Unit  string
		Times int
	}
	Messages, Tools, Choices, Input json.RawMessage
}

func corpus(t testing.TB) []countCase {
	t.Helper()
	var cases []countCase
	require.NoError(t, json.Unmarshal(corpusJSON, &cases))
	require.Len(t, cases, 104)
	return cases
}

func TestTextsCountAsPythonsTiktokenCountsThem(t *testing.T) {
	for _, c := range corpus(t) {
		require.Equal(t, c.Encoding, EncodingOf(c.Model), "%s: %s", c.Name, c.Model)
		var text string
		switch {
		case c.Text != nil:
			text = *c.Text
		case c.Repeat != nil:
			text = strings.Repeat(c.Repeat.Unit, c.Repeat.Times)
		default:
			continue
		}
		require.Equal(t, c.Expected, CounterFor(c.Model).Count(text), "%s (%s)", c.Name, c.How)
	}
}

func TestTheTablesAreThePublishedOnes(t *testing.T) {
	for name, file := range map[string]string{Cl100k: cl100kFile, O200k: o200kFile} {
		units := unitsIn(open(file))
		require.Equal(t, ranks.Published[name], ranks.PublishedSum(units), name)
		again, err := ranks.Pack(units)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256([]byte(file)), sha256.Sum256(again), "%s is not what go generate makes of its units", name)
	}
}

// unitsIn are a table's, by rank.
func unitsIn(t *ranks.Table) []string {
	units := make([]string, t.Len())
	for i := range units {
		units[i] = t.Unit(uint32(i))
	}
	return units
}

func TestATableThatIsDamagedIsNotUsed(t *testing.T) {
	require.Panics(t, func() { open(o200kFile[:len(o200kFile)-1]) })
}

func TestNeighboursMergeByRank(t *testing.T) {
	file, err := ranks.Pack([]string{"a", "b", "ab"})
	require.NoError(t, err)
	table := open(string(file))
	require.Equal(t, 1, unitsOf(table, "ab"))
	require.Equal(t, 3, unitsOf(table, "ababa"), "ab, ab, a")
}

// published is the library that the numbers of the corpus were made with in its Python form, here over our tables. What it counts in
// tens of megabytes of maps is to be counted here just so.
func published(t *testing.T, encoding string) func(string) int {
	t.Helper()
	tiktoken.SetBpeLoader(ourTables{})
	c, err := tiktoken.GetEncoding(encoding)
	require.NoError(t, err)
	return func(s string) int { return len(c.EncodeOrdinary(s)) }
}

// ourTables keep the library from asking the network for its own.
type ourTables struct{}

// LoadTiktokenBpe implements [tiktoken.BpeLoader].
func (ourTables) LoadTiktokenBpe(address string) (map[string]int, error) {
	file, ok := map[string]string{"o200k_base.tiktoken": o200kFile, "cl100k_base.tiktoken": cl100kFile}[path.Base(address)]
	if !ok {
		return nil, fmt.Errorf("there is no table for %s", address)
	}
	all := map[string]int{}
	for rank, unit := range unitsIn(open(file)) {
		all[unit] = rank
	}
	return all, nil
}

// TestCharactersOfEachKindCountAsTheLibraryCountsThem: the first and the last of each run of characters that Unicode has of one kind, between
// letters, spaces and line ends.
func TestCharactersOfEachKindCountAsTheLibraryCountsThem(t *testing.T) {
	var b strings.Builder
	of := func(kind string) string {
		b.Reset()
		add := func(r rune) { b.WriteString("a" + string(r) + "A" + string(r) + string(r) + " " + string(r) + "1\n") }
		for _, run := range unicode.Categories[kind].R16 {
			add(rune(run.Lo))
			add(rune(run.Hi))
		}
		for _, run := range unicode.Categories[kind].R32 {
			add(rune(run.Lo))
			add(rune(run.Hi))
		}
		return b.String()
	}
	for _, name := range []string{O200k, Cl100k} {
		count, want := counters[name](), published(t, name)
		for _, kind := range []string{"Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S", "Z", "Cc", "Cf", "Cs"} {
			require.Equal(t, want(of(kind)), count.Count(of(kind)), "%s, %s", name, kind)
		}
	}
}

// TestCharactersInAnyOrderCountAsTheLibraryCountsThem has those that the rules tell apart.
func TestCharactersInAnyOrderCountAsTheLibraryCountsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	special := []rune("aZzſǅʰª漢\u0301\u0903 \t\n\r\u00a0\u2028\u0085'’/.-_!1٣Ⅷ²🙂\u200d\ufffd\x00İSstTrReEvVlLmMdD")
	for _, name := range []string{O200k, Cl100k} {
		count, want := counters[name](), published(t, name)
		for range 2_000 {
			var b strings.Builder
			for range 1 + random.IntN(12) {
				b.WriteRune(special[random.IntN(len(special))])
			}
			require.Equal(t, want(b.String()), count.Count(b.String()), "%s: %q", name, b.String())
		}
	}
}

// TestTheShortWayCutsAsTheRulesDo: whatever stands in a text, a piece that ASCII alone tells is the piece that the patterns' functions find.
func TestTheShortWayCutsAsTheRulesDo(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	special := []rune("aZzs \t\n\r\v\f'/.-_!19stTrReEvVlLmMdDß漢\u0301\u00a0\x00")
	for name, r := range map[string]*rules{O200k: o200k, Cl100k: cl100k} {
		told := 0
		for range 20_000 {
			var b strings.Builder
			for range 1 + random.IntN(10) {
				b.WriteRune(special[random.IntN(len(special))])
			}
			if n := r.nextASCII(b.String()); n > 0 {
				told++
				require.Equal(t, r.any(b.String()), n, "%s: %q", name, b.String())
			}
		}
		require.Greater(t, told, 10_000, name)
	}
}

// TestOrdinaryTextsNeedNoCut: a text that is taken for one without long runs has none.
func TestOrdinaryTextsNeedNoCut(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	kinds := []string{"a", " ", "!", "\n", "/", "漢", "\u0301", "1", "word and word "}
	ordinary := 0
	for range 4_000 {
		var b strings.Builder
		for range 1 + random.IntN(8) {
			b.WriteString(strings.Repeat(kinds[random.IntN(len(kinds))], 1+random.IntN(300)))
		}
		if text := b.String(); isOrdinary(text) && len(text) <= maxText {
			ordinary++
			require.Equal(t, len(text), cutOfRuns(text), "%q", text)
		}
	}
	require.Greater(t, ordinary, 100)
}

// oracle counts by another implementation.
func oracle(encoding string) func(string) int {
	c := codec.NewO200kBase()
	if encoding == Cl100k {
		c = codec.NewCl100kBase()
	}
	return func(s string) int {
		n, err := c.Count(s)
		if err != nil {
			panic(err)
		}
		return n
	}
}

// spacesBetweenLineEnds is where the second implementation differs from Python's; TestSpacesBetweenLineEnds has such texts.
var spacesBetweenLineEnds = regexp.MustCompile(`[\r\n][^\S\r\n\x{a0}]*[\s\x{a0}]*[\t \x{a0}][\r\n]`)

// TestSpacesBetweenLineEnds: the numbers are those of Python's tiktoken 0.14.0.
func TestSpacesBetweenLineEnds(t *testing.T) {
	for _, c := range []struct {
		text          string
		o200k, cl100k int
	}{
		{"\r\n\t\r\n", 1, 1},
		{"x\n\n  \n4567", 4, 5},
		{" \n \n \n", 2, 2},
		{"a\r\n \r\n\r\n\tb", 4, 4},
		{"\u00a0\n\u00a0\n", 4, 2},
		{"{\n\t\n\t}\n", 4, 4},
		{"\n   \n   \n   end", 4, 4},
		{"\u2028\n \n", 2, 3},
		{"\u017f's 'S 'LL", 6, 7},
	} {
		require.Equal(t, c.o200k, CounterFor("gpt-4o").Count(c.text), "%q", c.text)
		require.Equal(t, c.cl100k, CounterFor("gpt-4").Count(c.text), "%q", c.text)
	}
}

func TestMixedTextsCountAsASecondImplementationCountsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "Hello", " world", "\n", "\n\n", "  ", "\t", "ß", "Straße", "漢字", "🙂", "e\u0301", "\u0301", "123", "4567", "/", "//", "{\"a\":", "...", "'ll", "'S", "\r\n", "<|endoftext|>", "x=y;", "नमस्ते", "\u00a0", "İ", "ſ", "!\n/\n", "-"}
	for _, model := range []string{"gpt-4o", "gpt-4"} {
		count, want := CounterFor(model), oracle(EncodingOf(model))
		for range 300 {
			var b strings.Builder
			for range random.IntN(40) {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
			if spacesBetweenLineEnds.MatchString(b.String()) {
				continue
			}
			require.Equal(t, want(b.String()), count.Count(b.String()), "%s: %q", model, b.String())
		}
	}
}

func TestTextsOfManyLinesCountTheSameInPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for b.Len() < 2*maxText {
		b.WriteString(strings.Repeat("\t", random.IntN(3)) + []string{"func f() {", "return a+b // 漢字", "!!!", "x", "123.5"}[random.IntN(5)] + "\n")
	}
	for _, model := range []string{"gpt-4o", "gpt-4"} {
		require.Equal(t, oracle(EncodingOf(model))(b.String()), CounterFor(model).Count(b.String()), model)
	}
}

func TestLongRunsAreCutAndNearlyExact(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	letters := make([]byte, 20_000)
	for i := range letters {
		letters[i] = byte('a' + random.IntN(26))
	}
	for name, text := range map[string]string{
		"one letter": strings.Repeat("a", 100_000), "spaces": strings.Repeat(" ", 20_000), "newlines": strings.Repeat("\n", 20_000), "dashes": strings.Repeat("-", 20_000),
		"slashes and line ends": strings.Repeat("/\n", 10_000), "points and marks": strings.Repeat("!\u0301", 7_000), "not UTF-8": strings.Repeat("\xff", 7_000),
		"any letters": string(letters), "emoji": strings.Repeat("🙂", 5_000), "Japanese": strings.Repeat("あいう", 2_000),
	} {
		for _, model := range []string{"gpt-4o", "gpt-4"} {
			count, want := CounterFor(model), oracle(EncodingOf(model))(text)
			require.InEpsilon(t, want, count.Count(text), 0.05, "%s, %s", name, model)
			for rest := text; rest != ""; {
				n := nextCut(rest)
				require.Positive(t, n, name)
				require.LessOrEqual(t, len([]rune(rest[:n])), maxRun, "%s: it is one run, and is cut", name)
				rest = rest[n:]
			}
		}
	}
}

func BenchmarkOneLetter100kB(b *testing.B) {
	count, text := CounterFor("gpt-4o"), strings.Repeat("a", 100_000)
	for b.Loop() {
		count.Count(text)
	}
}

func BenchmarkProse(b *testing.B) {
	count, text := CounterFor("gpt-4o"), strings.Repeat("The quick brown fox jumps over the lazy dog, and isn't tired. ", 16)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		count.Count(text)
	}
}
