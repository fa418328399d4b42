"""`symposia serve`: every method as a model of an OpenAI-compatible server.

`app.py` is the application, `models.py` reads model names, `chat.py` and `responses.py` are the two forms of a request (`asked.py` and
`parts.py` what they share), `conversation.py` makes a chat a method's input, `work.py` executes the runs behind a request, `story.py` tells
their steps, `guard.py` keeps out who may not ask. Runs are those of `symposia run`: in the store, to be shown, replayed and forked.

An answer comes token by token where one call writes it and nothing can set it aside afterwards, which a method's file says by
`ANSWER_NODE`: `chain_of_thought`, `moa`, `self_moa`. Elsewhere the steps come as they happen and the answer whole, since its text is not
known while it is written: a vote or a score chooses it (`self_consistency` and kin, `best_of_n`, `magicore`, `debate_du`, `reconcile`,
`mamm_refine`), a verdict or a test run keeps or rejects it (`self_refine`, `utdebug`), the reply is JSON or is asked for again where it
cannot be read (`mad`, and any method that was asked for a `response_format`), or a part of it is cut off (`symbolic_moe`).
"""
