package checks

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestSecretsAreComparedInConstantTime reads the types of all code outside tests: == and != on what Secret.Reveal returned, or on a
// token's hash, end at the first byte that differs and so tell how far a guess was right. crypto/subtle does not.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	for _, place := range leakyComparisons(t, root, "./...") {
		t.Errorf("%s: a secret is compared with == or bytes.Equal; use crypto/subtle", place)
	}
}

func TestLeakyComparisonsAreFound(t *testing.T) {
	dir, err := filepath.Abs("testdata/leaky")
	require.NoError(t, err)
	places := leakyComparisons(t, dir, ".")
	var lines []string
	for _, place := range places {
		lines = append(lines, filepath.Base(place.Filename)+":"+place.String()[len(place.Filename)+1:][:2])
	}
	require.Equal(t, []string{"leaky.go:12", "leaky.go:13", "leaky.go:14", "leaky.go:15"}, lines)
}

func leakyComparisons(t *testing.T, dir string, patterns ...string) []token.Position {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile,
		Dir:  dir, Context: t.Context(),
	}, patterns...)
	require.NoError(t, err)
	require.NotEmpty(t, loaded)
	var places []token.Position
	for _, p := range loaded {
		require.Empty(t, p.Errors, "%s does not compile", p.PkgPath)
		for _, file := range p.Syntax {
			ast.Inspect(file, func(n ast.Node) bool {
				if isLeaky(p.TypesInfo, n) {
					places = append(places, p.Fset.Position(n.Pos()))
				}
				return true
			})
		}
	}
	return places
}

func isLeaky(info *types.Info, n ast.Node) bool {
	var a, b ast.Expr
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op != token.EQL && n.Op != token.NEQ {
			return false
		}
		a, b = n.X, n.Y
	case *ast.CallExpr:
		if name := calledName(info, n); name != "bytes.Equal" && name != "bytes.Compare" && name != "strings.Compare" || len(n.Args) != 2 {
			return false
		}
		a, b = n.Args[0], n.Args[1]
	default:
		return false
	}
	return (isSecret(info, a) || isSecret(info, b)) && !isEmptyString(info, a) && !isEmptyString(info, b)
}

// isSecret reports whether an expression holds a secret: a hash of a token, or something made of a call to Reveal.
func isSecret(info *types.Info, e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || found {
			return false
		}
		if basic, ok := info.TypeOf(e).(*types.Basic); ok && basic.Info()&types.IsString == 0 {
			return false // a length, or the result of a comparison
		}
		if call, ok := e.(*ast.CallExpr); ok && calledName(info, call) == "("+module+"internal/llmproxy.Secret).Reveal" {
			found = true
		}
		if named, ok := info.TypeOf(e).(*types.Named); ok && named.Obj().Pkg() != nil {
			found = found || named.Obj().Pkg().Path() == module+"internal/llmproxy" && named.Obj().Name() == "TokenHash"
		}
		return !found
	})
	return found
}

func isEmptyString(info *types.Info, e ast.Expr) bool {
	value := info.Types[e].Value
	return value != nil && value.Kind() == constant.String && constant.StringVal(value) == ""
}

// calledName is the full name of the function that a call calls, empty if it calls a value.
func calledName(info *types.Info, call *ast.CallExpr) string {
	var name *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f
	case *ast.SelectorExpr:
		name = f.Sel
	default:
		return ""
	}
	if f, ok := info.Uses[name].(*types.Func); ok {
		return f.FullName()
	}
	return ""
}
