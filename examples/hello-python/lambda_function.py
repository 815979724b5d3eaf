"""A first function in Python: counts the words of the event's text."""
import platform


def lambda_handler(event, context):
    words = event.get("text", "").split()
    print("counting", len(words), "words")
    return {"words": len(words), "longest": max(words, key=len, default=None), "runtime": "Python " + platform.python_version()}
