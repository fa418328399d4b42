"""What every method shares: parameters, reducers, places, errors, the journal and its stores."""
