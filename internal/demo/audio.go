package demo

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

type audioUsage struct {
	Type         string       `json:"type"`
	Input        int          `json:"input_tokens"`
	InputDetails audioDetails `json:"input_token_details"`
	Output       int          `json:"output_tokens"`
	Total        int          `json:"total_tokens"`
}

type audioDetails struct {
	Text  int `json:"text_tokens"`
	Audio int `json:"audio_tokens"`
}

// bytesOfSecond is how many bytes of a file the stand-in takes for a second, and tokensOfSecond what that costs.
const (
	bytesOfSecond  = 16 << 10
	tokensOfSecond = 10
)

// transcription "hears" a text that depends on the file's bytes; translations are the same in English, which it always was.
func transcription(_ *provider, c *call) answer {
	if len(c.files) == 0 {
		return c.missing("file")
	}
	if c.form["model"] == "" {
		return c.missing("model")
	}
	f := c.files[0]
	parts := c.say("a recording with the checksum "+f.SHA256[:12], 0)
	heard := *join(parts)
	seconds := int(f.Size/bytesOfSecond) + 1
	u := audioUsage{Type: "tokens", InputDetails: audioDetails{Text: count(c.form["prompt"]), Audio: seconds * tokensOfSecond}, Output: countAll(parts)}
	u.Input = u.InputDetails.Text + u.InputDetails.Audio
	u.Total = u.Input + u.Output

	type fields = map[string]any
	switch format := c.form["response_format"]; {
	case c.form["stream"] == "true":
		return stream(func(yield func([]byte) bool) {
			for _, part := range parts {
				if !yield(data(fields{"type": "transcript.text.delta", "delta": part})) {
					return
				}
			}
			yield(data(fields{"type": "transcript.text.done", "text": heard, "usage": u}))
		})
	case format == "text":
		return text(http.StatusOK, heard+"\n")
	case format == "srt":
		return text(http.StatusOK, fmt.Sprintf("1\n00:00:00,000 --> %s\n%s\n\n", clock(seconds, ","), heard))
	case format == "vtt":
		return text(http.StatusOK, fmt.Sprintf("WEBVTT\n\n00:00:00.000 --> %s\n%s\n\n", clock(seconds, "."), heard))
	case format == "verbose_json":
		segment := fields{"id": 0, "seek": 0, "start": 0.0, "end": float64(seconds), "text": heard, "tokens": []int{}, "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01}
		answer := fields{"task": "transcribe", "language": "english", "duration": float64(seconds), "text": heard, "segments": []fields{segment}}
		if strings.HasSuffix(c.URL.Path, "/transcriptions") {
			answer["usage"] = fields{"type": "duration", "seconds": seconds}
		} else {
			answer["task"] = "translate"
		}
		return object(answer)
	case strings.HasSuffix(c.URL.Path, "/translations"):
		return object(fields{"text": heard})
	}
	return object(struct {
		Text  string     `json:"text"`
		Usage audioUsage `json:"usage"`
	}{heard, u})
}

func clock(seconds int, point string) string {
	return fmt.Sprintf("%02d:%02d:%02d%s000", seconds/3600, seconds/60%60, seconds%60, point)
}

// soundBytes is how long a spoken answer is, unless its size was asked for.
const soundBytes = 48 << 10

// sounds are the types of spoken answers.
var sounds = map[string]string{"": "audio/mpeg", "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm"}

// speech answers with bytes that only look like sound to a program.
func speech(_ *provider, c *call) answer {
	q, bad := c.question("model", "input", "voice")
	if bad != nil {
		return *bad
	}
	kind, ok := sounds[q.Get("response_format").Str]
	if !ok {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", "Invalid 'response_format': want mp3, opus, aac, flac, wav or pcm.")
	}
	n := int64(soundBytes)
	if c.size > 0 {
		n = c.size
	}
	if q.Get("stream_format").Str != "sse" {
		return sound(kind, n)
	}
	return stream(speechEvents(q, n))
}

func speechEvents(q gjson.Result, n int64) func(func([]byte) bool) {
	u := audioUsage{Input: count(q.Get("input").Str), Output: int(n/bytesOfSecond+1) * tokensOfSecond}
	return func(yield func([]byte) bool) {
		sound := &pattern{left: n}
		buf := make([]byte, 4<<10)
		for {
			got, err := io.ReadFull(sound, buf)
			if got > 0 && !yield(data(map[string]any{"type": "speech.audio.delta", "audio": base64.StdEncoding.EncodeToString(buf[:got])})) {
				return
			}
			if err != nil {
				break
			}
		}
		yield(data(map[string]any{"type": "speech.audio.done", "usage": map[string]int{"input_tokens": u.Input, "output_tokens": u.Output, "total_tokens": u.Input + u.Output}}))
	}
}
