package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// nginxConfig lets nginx do what it does best: files that it keeps open, sent by sendfile(2), compressed beforehand, as many workers as
// there are cores, no log. Its answers have the headers that a player or a cache needs.
const nginxConfig = `
daemon off;
user root;
worker_processes %d;
error_log stderr error;
pid %[2]s/nginx.pid;
events { worker_connections 4096; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_timeout 120s;
	keepalive_requests 1000000000;
	open_file_cache max=10000 inactive=600s;
	open_file_cache_valid 600s;
	gzip_static on;
	gzip_vary on;
	types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
	server {
		listen %[3]s;
		root %[2]s/root;
		add_header Access-Control-Allow-Origin *;
		location ~ \.m3u8$ { add_header Cache-Control "public, max-age=1"; add_header Access-Control-Allow-Origin *; }
		location ~ \.m4s$ { add_header Cache-Control "public, max-age=31536000, immutable"; add_header Access-Control-Allow-Origin *; }
	}
}
`

// nginxPath is where nginx is: Debian has it in a directory that is not on everybody's PATH.
func nginxPath() string {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	return "/usr/sbin/nginx"
}

// startNginx serves dir/root.
func startNginx(dir string) (*process, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, runtime.NumCPU(), dir, address), 0o644); err != nil {
		return nil, "", err
	}
	child, err := start(nginxPath(), "-p", dir, "-c", conf)
	if err != nil {
		return nil, "", err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return child, address, nil
		}
		if time.Now().After(deadline) {
			child.end()
			return nil, "", fmt.Errorf("nginx does not answer: %s", child.err.String())
		}
	}
}

// mirror copies an object of the origin's to where nginx finds it; what can be compressed is kept compressed too, as the origin does.
func mirror(address, path, root string) error {
	body, _, err := get(address, path, "identity")
	if err != nil {
		return err
	}
	file := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, body, 0o644); err != nil {
		return err
	}
	zipped, header, err := get(address, path, "gzip")
	if err != nil || header.Get("Content-Encoding") != "gzip" {
		return err
	}
	plain, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return err
	}
	defer plain.Close()
	return os.WriteFile(file+".gz", zipped, 0o644)
}
