package main

import (
	"bytes"
	"io"
	"log"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
)

const (
	logFileMB   = 100 // a log file of this size is renamed and a new one begun
	keptLogs    = 5   // renamed ones
	keptLogDays = 90
)

// newLogger is the application's log: lines of JSON on stderr, or in a file.
func newLogger(s *settings, stderr io.Writer) (*zap.Logger, func() error) {
	sink, closeSink := zapcore.Lock(zapcore.AddSync(stderr)), func() error { return nil }
	if s.LogFile != "" {
		file := rotated(s.LogFile, logFileMB)
		sink, closeSink = zapcore.AddSync(file), file.Close
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.MillisDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), leftToRight{sink}, s.LogLevel)), closeSink
}

// leftToRight escapes, in lines of JSON, the characters that turn the direction of text. Control characters are escaped already, but a
// terminal that obeys these shows a line as it is not.
type leftToRight struct{ zapcore.WriteSyncer }

// turning are these characters: their escapes in JSON.
var turning = strings.NewReplacer(
	"\u061c", `\u061c`, "\u200e", `\u200e`, "\u200f", `\u200f`, "\u2028", `\u2028`, "\u2029", `\u2029`,
	"\u202a", `\u202a`, "\u202b", `\u202b`, "\u202c", `\u202c`, "\u202d", `\u202d`, "\u202e", `\u202e`,
	"\u2066", `\u2066`, "\u2067", `\u2067`, "\u2068", `\u2068`, "\u2069", `\u2069`,
)

// Write implements [io.Writer].
func (l leftToRight) Write(line []byte) (int, error) {
	if bytes.IndexByte(line, 0xe2) < 0 && bytes.IndexByte(line, 0xd8) < 0 { // with which all of them begin
		return l.WriteSyncer.Write(line)
	}
	if _, err := l.WriteSyncer.Write([]byte(turning.Replace(string(line)))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// rotated is a file of mode 0600 that does not grow without end.
func rotated(path string, megabytes int) *lumberjack.Logger {
	return &lumberjack.Logger{Filename: path, MaxSize: megabytes, MaxBackups: keptLogs, MaxAge: keptLogDays}
}

// httpLog takes what net/http says of connections: failed handshakes, too many open files.
func httpLog(logger *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(logger.Named("http"), zapcore.WarnLevel)
	if err != nil {
		panic(err) // of a level that zap does not know
	}
	return std
}
