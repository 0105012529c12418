package usage

import (
	"slices"
	"unicode/utf8"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// addDetails takes over what the usage object says beyond the counts; what it does not say stays.
func (a *answer) addDetails(f *fields, usage gjson.Result) {
	d := &a.details
	for path, to := range map[string]**int64{
		f.inputAudio: &d.InputAudio, f.inputImage: &d.InputImage, f.outputAudio: &d.OutputAudio, f.outputImage: &d.OutputImage,
		f.cacheWriteLong: &d.CacheWriteLong, f.searches: &d.Searches,
	} {
		setCount(to, usage, path)
	}
	if f.seconds != "" {
		if s := usage.Get(f.seconds); s.Type == gjson.Number && s.Num >= 0 && s.Num <= maxCount {
			seconds := s.Num
			d.Seconds = &seconds
		}
	}
	if f.tier != "" {
		a.setTier(usage.Get(f.tier))
	}
}

// setCount sets a count that is there and not zero, since nothing depends on none.
func setCount(to **int64, from gjson.Result, path string) {
	if path == "" {
		return
	}
	if n := countOf(from.Get(path)); n > 0 {
		*to = n.pointer()
	}
}

// ordinaryTiers are those that cost what is asked for without a tier.
var ordinaryTiers = []string{"", "auto", "default", "standard", "scale"}

func (a *answer) setTier(tier gjson.Result) {
	if name := modelOf(tier); !slices.Contains(ordinaryTiers, name) {
		a.details.Tier = name
	}
}

// spoken is how many characters a request asks to be spoken, nil if it is not there as a whole.
func spoken(m *llmproxy.Message) *int64 {
	if m.Body == nil || m.Encoding != "" || m.Body.Truncated() {
		return nil
	}
	input := gjson.GetBytes(append(slices.Clone(m.Body.Head), m.Body.Tail...), "input")
	if input.Type != gjson.String {
		return nil
	}
	n := int64(utf8.RuneCountInString(input.Str))
	return &n
}
