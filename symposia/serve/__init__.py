"""`symposia serve`: every method as a model of an OpenAI-compatible server.

`app.py` is the application, `models.py` reads model names, `chat.py` and `responses.py` are the two forms of a request (`asked.py` what
they share), `conversation.py` makes a chat a method's input, `work.py` executes the runs behind a request, `story.py` tells their steps,
`guard.py` keeps out who may not ask. Runs are those of `symposia run`: in the store, to be shown, replayed and forked.
"""
