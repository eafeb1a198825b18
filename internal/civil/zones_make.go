//go:build ignore

// Packs the compiled time zones of a folder into one zip with the same bytes each time: go run zones_make.go FOLDER OUT.
package main

import (
	"archive/zip"
	"compress/flate"
	"io"
	"io/fs"
	"log"
	"os"
)

func main() {
	out, err := os.Create(os.Args[2])
	check(err)
	w := zip.NewWriter(out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestCompression) })
	folder := os.DirFS(os.Args[1])
	check(fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, path)
		check(err)
		f, err := w.Create(path)
		check(err)
		_, err = f.Write(data)
		return err
	}))
	check(w.Close())
	check(out.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
