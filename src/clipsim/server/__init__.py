"""The API over HTTP, and its page (extra `serve`).

- `recent_vectors`: the vectors of recent requests, in memory
- `model_thread`: work of many requests → the thread of a model, which computes it in shared batches
- `served_models`: requests of many clients → vectors and records; `served_images` names what is searched
- `following`: what is in the served folders now → the collections that are searched
- `settings`: `ServerSettings`, what is allowed, checked
- `application`: loaded models → an ASGI application
- `guard`: what every request passes: host, origin, token, limits in number, bytes and time, and its client's leaving
- `connections`: HTTP/1.1 whose headers must come, and whose answers must be read, in time
- `access`: tokens; what is known of a request, and its line in the log; the rate at which requests are answered
- `bodies`: a body, which is JSON or a form → sources, texts and numbers within their bounds
- `embedding_inputs`: the body of /v1/embeddings, in the shapes that clients send it → images and texts
- `schema`: the routes → their OpenAPI document
- `answers`: records and vectors → the bodies of answers; errors, too
- `metrics`: what is counted, for Prometheus
- `running`: a socket, uvicorn, and the thread that loads the models
- `page`: the files of the page, which are served as they are
"""
