// What Go's golang.org/x/mod/sumdb says of files that edgekit wrote, and the same files written by it.
//
//	sumdb log VKEY DIR SIZE...       reads a tiled log whole; proves it continues each SIZE; checks every entry
//	sumdb proof VKEY FILE LEAF       a .tlog-proof of the entry in the file LEAF
//	sumdb records VKEY FILE...       many of them; each has the entry beside it, as FILE.leaf; prints microseconds
//	sumdb tree NEW ROOT OLD ROOT H.. a consistency proof
//	sumdb note VKEY... <NOTE         a signed note; the keys may be those of witnesses (type 4)
//	sumdb sign SKEY <TEXT            signs a note
//	sumdb make SKEY DIR SIZE...      writes a log of "entry 0", "entry 1", ... with a head at each SIZE
//
// It prints what it found as JSON, and ends with status 1 and a reason where something does not hold.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8
const width = 1 << height

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("no command"))
	}
	commands := map[string]func([]string) (any, error){
		"log": readLog, "proof": readProof, "records": readRecords, "tree": checkTree, "note": openNote, "sign": signNote, "make": makeLog,
	}
	command, known := commands[os.Args[1]]
	if !known {
		fail(errors.New("no such command"))
	}
	found, err := command(os.Args[2:])
	if err != nil {
		fail(err)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// witness verifies cosignatures (c2sp.org/tlog-cosignature), which x/mod does not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }
func (w *witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	header := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(w.key, append([]byte(header), msg...), sig[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) == 3 {
		hash, err := strconv.ParseUint(parts[1], 16, 32)
		data, err2 := base64.StdEncoding.DecodeString(parts[2])
		if err == nil && err2 == nil && len(data) == 1+ed25519.PublicKeySize && data[0] == 4 {
			return &witness{parts[0], uint32(hash), data[1:]}, nil
		}
	}
	return note.NewVerifier(vkey)
}

func open(data []byte, vkeys ...string) (*note.Note, error) {
	var known []note.Verifier
	for _, vkey := range vkeys {
		v, err := verifier(vkey)
		if err != nil {
			return nil, err
		}
		known = append(known, v)
	}
	return note.Open(data, note.VerifierList(known...))
}

// checkpoint reads the text of a head: origin, size, root hash.
func checkpoint(data []byte, vkey string) (origin string, tree tlog.Tree, err error) {
	signed, err := open(data, vkey)
	if err != nil {
		return "", tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 {
		return "", tree, errors.New("a checkpoint of other than three lines")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return "", tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return lines[0], tree, err
}

// tiles reads the tiles of c2sp.org/tlog-tiles, whose names lack the height that x/mod writes into them.
type tiles struct{ dir string }

func (t tiles) Height() int { return height }
func (t tiles) ReadTiles(wanted []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range wanted {
		read, err := os.ReadFile(filepath.Join(t.dir, name(tile)))
		if err != nil {
			return nil, err
		}
		data = append(data, read)
	}
	return data, nil
}
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func name(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

func readLog(args []string) (any, error) {
	data, err := os.ReadFile(filepath.Join(args[1], "checkpoint"))
	if err != nil {
		return nil, err
	}
	origin, tree, err := checkpoint(data, args[0])
	if err != nil {
		return nil, err
	}
	reader := tlog.TileHashReader(tree, tiles{args[1]})
	if root, err := tlog.TreeHash(tree.N, reader); err != nil || (root != tree.Hash && tree.N > 0) {
		return nil, fmt.Errorf("the root hash: %v", err)
	}
	for _, arg := range args[2:] {
		old, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, err
		}
		hash, err := tlog.TreeHash(old, reader)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveTree(tree.N, old, reader)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, hash); err != nil {
			return nil, err
		}
	}
	for n := int64(0); n*width < tree.N; n++ {
		if err := checkBundle(args[1], tree.N, n, reader); err != nil {
			return nil, err
		}
	}
	return map[string]any{"origin": origin, "size": tree.N, "root": tree.Hash.String()}, nil
}

// checkBundle holds each entry of a bundle against the tree, and proves its first one.
func checkBundle(dir string, size, n int64, reader tlog.HashReader) error {
	w := width
	if rest := size - n*width; rest < width {
		w = int(rest)
	}
	data, err := os.ReadFile(filepath.Join(dir, name(tlog.Tile{H: height, L: -1, N: n, W: w})))
	if err != nil {
		return err
	}
	var indexes []int64
	var hashes []tlog.Hash
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return errors.New("a bundle that ends within an entry")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		indexes = append(indexes, tlog.StoredHashIndex(0, n*width+int64(len(indexes))))
		hashes = append(hashes, tlog.RecordHash(data[2:end]))
		data = data[end:]
	}
	if len(hashes) != w {
		return fmt.Errorf("a bundle of %d entries, not %d", len(hashes), w)
	}
	stored, err := reader.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i := range stored {
		if stored[i] != hashes[i] {
			return fmt.Errorf("entry %d is another one", n*width+int64(i))
		}
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(size, n*width, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, size, root, n*width, hashes[0])
}

func readProof(args []string) (any, error) {
	origin, index, tree, _, err := checkProof(args[0], args[1], args[2])
	if err != nil {
		return nil, err
	}
	return map[string]any{"origin": origin, "index": index, "size": tree.N}, nil
}

func readRecords(args []string) (any, error) {
	var took []float64
	for _, file := range args[1:] {
		_, _, _, micros, err := checkProof(args[0], file, file+".leaf")
		if err != nil {
			return nil, fmt.Errorf("%s: %v", file, err)
		}
		took = append(took, micros)
	}
	return took, nil
}

// checkProof reads a .tlog-proof (c2sp.org/tlog-proof); the time is that of verifying alone.
func checkProof(vkey, file, leaf string) (origin string, index int64, tree tlog.Tree, micros float64, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return
	}
	entry, err := os.ReadFile(leaf)
	if err != nil {
		return
	}
	begun := time.Now()
	split := bytes.Index(data, []byte("\n\n"))
	if split < 0 {
		err = errors.New("no empty line")
		return
	}
	lines := strings.Split(string(data[:split]), "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		err = errors.New("another header")
		return
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if index, err = strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64); err != nil {
		return
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		var hash tlog.Hash
		if hash, err = tlog.ParseHash(line); err != nil {
			return
		}
		proof = append(proof, hash)
	}
	if origin, tree, err = checkpoint(data[split+2:], vkey); err != nil {
		return
	}
	err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
	micros = float64(time.Since(begun).Nanoseconds()) / 1000
	return
}

func checkTree(args []string) (any, error) {
	var sizes [2]int64
	var roots [2]tlog.Hash
	for i := range sizes {
		var err error
		if sizes[i], err = strconv.ParseInt(args[2*i], 10, 64); err != nil {
			return nil, err
		}
		if roots[i], err = tlog.ParseHash(args[2*i+1]); err != nil {
			return nil, err
		}
	}
	var proof tlog.TreeProof
	for _, arg := range args[4:] {
		hash, err := tlog.ParseHash(arg)
		if err != nil {
			return nil, err
		}
		proof = append(proof, hash)
	}
	return "ok", tlog.CheckTree(proof, sizes[0], roots[0], sizes[1], roots[1])
}

func openNote(args []string) (any, error) {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	opened, err := open(data, args...)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, sig := range opened.Sigs {
		names = append(names, sig.Name)
	}
	return map[string]any{"text": opened.Text, "signed": names, "others": len(opened.UnverifiedSigs)}, nil
}

func signNote(args []string) (any, error) {
	signer, err := note.NewSigner(args[0])
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	return string(signed), err
}

func makeLog(args []string) (any, error) {
	signer, err := note.NewSigner(args[0])
	if err != nil {
		return nil, err
	}
	var stored []tlog.Hash
	var entries [][]byte
	reader := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for _, arg := range args[2:] {
		size, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, err
		}
		for n := int64(len(entries)); n < size; n++ {
			entry := []byte(fmt.Sprintf("entry %d", n))
			hashes, err := tlog.StoredHashes(n, entry, reader)
			if err != nil {
				return nil, err
			}
			stored, entries = append(stored, hashes...), append(entries, entry)
		}
		if err := writeHead(args[1], size, signer, entries, reader); err != nil {
			return nil, err
		}
	}
	return len(entries), nil
}

// writeHead writes the tiles of a head that its tree asks for, its bundles, and itself.
func writeHead(dir string, size int64, signer note.Signer, entries [][]byte, reader tlog.HashReader) error {
	for _, tile := range tlog.NewTiles(height, 0, size) {
		if count := size >> (height * uint(tile.L)); tile.W < width && tile.N*width+int64(tile.W) != count {
			continue // NewTiles lists every width on the way
		}
		data, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return err
		}
		if err := write(dir, name(tile), data); err != nil {
			return err
		}
		if tile.L > 0 {
			continue
		}
		var bundle []byte
		for _, entry := range entries[tile.N*width : tile.N*width+int64(tile.W)] {
			bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
			bundle = append(bundle, entry...)
		}
		if err := write(dir, name(tlog.Tile{H: height, L: -1, N: tile.N, W: tile.W}), bundle); err != nil {
			return err
		}
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	return write(dir, "checkpoint", signed)
}

func write(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
