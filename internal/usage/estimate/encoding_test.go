package estimate

import (
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/pkoukk/tiktoken-go"
	"github.com/stretchr/testify/require"
	"github.com/tiktoken-go/tokenizer/codec"
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
	for name, sum := range map[string]string{
		Cl100k: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
		O200k:  "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
	} {
		f, err := tables.Open("ranks/" + name + ".tiktoken.gz")
		require.NoError(t, err)
		r, err := gzip.NewReader(f)
		require.NoError(t, err)
		h := sha256.New()
		_, err = io.Copy(h, r)
		require.NoError(t, err)
		require.Equal(t, sum, hex.EncodeToString(h.Sum(nil)), name)
		require.NoError(t, f.Close())
	}
}

func TestATableThatIsDamagedIsNotRead(t *testing.T) {
	_, err := readRanks("p50k_base")
	require.ErrorContains(t, err, "p50k_base")
	for name, lines := range map[string]string{
		"a rank is missing": "IQ== 0\nIg== 2\n", "a unit that is no base64": "IQ== 0\n!! 1\n", "a unit twice": "IQ== 0\nIQ== 1\n", "an empty unit": "IQ== 0\n 1\n", "a line too long": strings.Repeat("a", 1<<17),
	} {
		_, err := parseRanks(strings.NewReader(lines), 0)
		require.Error(t, err, name)
	}
	r, err := parseRanks(strings.NewReader("YQ== 0\nYg== 1\nYWI= 2\n"), 8)
	require.NoError(t, err)
	require.Equal(t, 1, r.count("ab"))
	require.Equal(t, 3, r.count("aba"+"b"+"a"), "ab, ab, a")
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
	r, err := readRanks(strings.TrimSuffix(path.Base(address), ".tiktoken"))
	if err != nil {
		return nil, err
	}
	all := make(map[string]int, r.ends.len())
	for i := range r.ends.len() {
		all[string(r.unit(uint32(i)))] = i
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

// BenchmarkATableIsRead also tells how much memory the table keeps.
func BenchmarkATableIsRead(b *testing.B) {
	for b.Loop() {
		load(O200k)
	}
	kept := load(O200k)
	b.ReportMetric(float64(len(kept.text)+len(kept.ends)+len(kept.slots))/1e6, "MB-kept")
}

func BenchmarkProse(b *testing.B) {
	count, text := CounterFor("gpt-4o"), strings.Repeat("The quick brown fox jumps over the lazy dog, and isn't tired. ", 16)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		count.Count(text)
	}
}
