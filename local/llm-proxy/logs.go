package main

import (
	"io"
	"log"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
)

// newLogger is the application's log: lines of JSON on stderr, or in a file that is rotated.
func newLogger(s *settings, stderr io.Writer) (*zap.Logger, func() error) {
	sink, closeSink := zapcore.Lock(zapcore.AddSync(stderr)), func() error { return nil }
	if s.LogFile != "" {
		file := &lumberjack.Logger{Filename: s.LogFile, MaxSize: 100, MaxBackups: 5, MaxAge: 90}
		sink, closeSink = zapcore.AddSync(file), file.Close
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.MillisDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), sink, s.LogLevel)), closeSink
}

// httpLog takes what net/http says of connections: failed handshakes, too many open files.
func httpLog(logger *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(logger.Named("http"), zapcore.WarnLevel)
	if err != nil {
		panic(err) // of a level that zap does not know
	}
	return std
}
