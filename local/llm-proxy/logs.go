package main

import (
	"io"
	"log"

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
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), sink, s.LogLevel)), closeSink
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
