package certificate

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// logCore passes on to slog what certmagic says to zap.
type logCore struct{ slog.Handler }

// Enabled implements zapcore.Core.
func (c logCore) Enabled(level zapcore.Level) bool {
	return c.Handler.Enabled(context.Background(), levelOf(level))
}

// With implements zapcore.Core.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{c.WithAttrs(attributes(fields))}
}

// Check implements zapcore.Core.
func (c logCore) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return to.AddCore(entry, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c logCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, levelOf(entry.Level), "certificates: "+entry.Message, 0)
	record.AddAttrs(attributes(fields)...)
	return c.Handle(context.Background(), record)
}

// Sync implements zapcore.Core.
func (logCore) Sync() error { return nil }

func levelOf(level zapcore.Level) slog.Level {
	switch {
	case level < zapcore.InfoLevel:
		return slog.LevelDebug
	case level == zapcore.InfoLevel:
		return slog.LevelInfo
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// attributes are fields in their order; one may become several, or none.
func attributes(fields []zapcore.Field) (all []slog.Attr) {
	for _, field := range fields {
		values := zapcore.NewMapObjectEncoder()
		field.AddTo(values)
		for key, value := range values.Fields {
			if key != "errorVerbose" { // the same once more, with a stack
				all = append(all, slog.Any(key, value))
			}
		}
	}
	return all
}
