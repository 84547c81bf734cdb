// Command goose-recorder says what the real goose would send to a database, without a database.
//
// Standard input holds one request a line, standard output one answer for each, both in JSON.
// goose runs its command against a driver that writes down what it is asked to execute, and that
// plays the version table in memory.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

type row struct {
	ID      int64 `json:"id"`
	Version int64 `json:"version"`
	Applied bool  `json:"applied"`
}

type request struct {
	Files        map[string][]byte `json:"files"` // base64
	Environ      map[string]string `json:"environ"`
	Command      string            `json:"command"`
	Arguments    []string          `json:"arguments"`
	AllowMissing bool              `json:"allow_missing"`
	Versioning   bool              `json:"versioning"` // false: goose looks at no version table
	Rows         []row             `json:"rows"`
}

type answer struct {
	Statements  [][]byte `json:"statements"` // base64, those on the version table left out
	Transaction bool     `json:"transaction"`
	Error       string   `json:"error"`
	Rows        []row    `json:"rows"`
}

// recorder is a driver, its only connection and its transactions at once.
type recorder struct{ answer answer }

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r *recorder) Driver() driver.Driver                        { return nil }
func (r *recorder) Close() error                                 { return nil }
func (r *recorder) Commit() error                                { return nil }
func (r *recorder) Rollback() error                              { return nil }

func (r *recorder) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("nothing is prepared here")
}

func (r *recorder) Begin() (driver.Tx, error) {
	r.answer.Transaction = true
	return r, nil
}

func (r *recorder) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	switch {
	case !strings.Contains(query, goose.TableName()):
		r.answer.Statements = append(r.answer.Statements, []byte(query))
	case strings.HasPrefix(query, "INSERT"):
		r.insert(args[0].Value.(int64), args[1].Value.(bool))
	case strings.HasPrefix(query, "DELETE"):
		r.remove(args[0].Value.(int64))
	default:
		return nil, fmt.Errorf("unexpected: %s", query)
	}
	return driver.ResultNoRows, nil
}

func (r *recorder) insert(version int64, applied bool) {
	id := int64(1)
	for _, known := range r.answer.Rows {
		id = max(id, known.ID+1)
	}
	r.answer.Rows = append(r.answer.Rows, row{id, version, applied})
}

func (r *recorder) remove(version int64) {
	kept := []row{}
	for _, known := range r.answer.Rows {
		if known.Version != version {
			kept = append(kept, known)
		}
	}
	r.answer.Rows = kept
}

func (r *recorder) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if !strings.HasSuffix(query, "ORDER BY id DESC") {
		return nil, fmt.Errorf("unexpected: %s", query)
	}
	sorted := append([]row{}, r.answer.Rows...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].ID > sorted[j].ID })
	return &listing{rows: sorted}, nil
}

// listing is the result of goose's query for the rows of its table.
type listing struct{ rows []row }

func (l *listing) Columns() []string { return []string{"version_id", "is_applied"} }
func (l *listing) Close() error      { return nil }

func (l *listing) Next(into []driver.Value) error {
	if len(l.rows) == 0 {
		return io.EOF
	}
	into[0], into[1] = l.rows[0].Version, l.rows[0].Applied
	l.rows = l.rows[1:]
	return nil
}

func run(asked request) (result answer) {
	recorded := &recorder{answer{Statements: [][]byte{}, Rows: asked.Rows}}
	db := sql.OpenDB(recorded)
	defer db.Close()
	defer func() {
		result = recorded.answer
		if problem := recover(); problem != nil {
			result.Error = fmt.Sprint("panic: ", problem)
		}
	}()
	options := []goose.OptionsFunc{}
	if asked.AllowMissing {
		options = append(options, goose.WithAllowMissing())
	}
	if !asked.Versioning {
		options = append(options, goose.WithNoVersioning())
	}
	ctx := context.Background()
	err := goose.RunWithOptionsContext(ctx, asked.Command, db, ".", asked.Arguments, options...)
	if err != nil {
		recorded.answer.Error = err.Error()
	}
	return
}

func serve(line []byte, out *json.Encoder) error {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		return err
	}
	os.Clearenv()
	for name, value := range asked.Environ {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	files := fstest.MapFS{}
	for name, content := range asked.Files {
		files[name] = &fstest.MapFile{Data: content}
	}
	goose.SetBaseFS(files)
	return out.Encode(run(asked))
}

func serveAll(in io.Reader, out io.Writer) error {
	goose.SetLogger(goose.NopLogger())
	if err := goose.SetDialect("postgres"); err != nil {
		return err
	}
	reader := bufio.NewReader(in)
	encoder := json.NewEncoder(out)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if err := serve(line, encoder); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	if err := serveAll(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "goose-recorder:", err)
		os.Exit(1)
	}
}
